// TempDir: a folder below $TMPDIR, or /tmp, that is gone, with all that is in it, when the object is.
// Readable by everybody, since what runs in it may drop its privileges. Not thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace sockmesh::test {

class TempDir {
 public:
  TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  std::string make_folder(std::string_view name) const;
  // Replaces a file in one step (rename), as somebody who watches the folder expects it.
  void write(std::string_view name, std::string_view text) const;

 private:
  std::string path_;
};

std::string temporary(std::string_view name);    // "$TMPDIR/NAME", or "/tmp/NAME"
std::string read_text(const std::string& path);  // "" if it cannot be read

}  // namespace sockmesh::test
