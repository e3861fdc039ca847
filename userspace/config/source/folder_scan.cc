#include "config/source/folder_scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace fs = std::filesystem;

namespace sockmesh::config {

namespace {

bool is_manifest_name(const fs::path& name) {
  const fs::path extension = name.extension();
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

bool is_inside(const fs::path& path, const fs::path& root) {
  return std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
}

class Scanner {
 public:
  Scanner(fs::path root, const std::function<void(const std::string&)>& on_folder)
      : root_(std::move(root)), on_folder_(on_folder) {}

  FolderScan run() {
    std::error_code error;
    on_folder_(root_);
    real_root_ = fs::canonical(root_, error);
    scan_.found = !error && fs::is_directory(real_root_, error);
    if (scan_.found) folder(root_, real_root_, "", 0);
    std::sort(scan_.files.begin(), scan_.files.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    return std::move(scan_);
  }

 private:
  void folder(const fs::path& path, const fs::path& real, const std::string& prefix, int depth) {
    if (!seen_.insert(real).second) return;  // reached by a link and directly, or in a circle
    if (depth > kMaxFolderDepth) {
      scan_.complete = false;
      return report(prefix, fmt::format("deeper than {} folders: not read", kMaxFolderDepth));
    }
    on_folder_(path);
    std::error_code error;
    std::vector<fs::path> names;  // sorted, so that what is read does not depend on the file system's order
    for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
      if (++entries_ > kMaxFolderEntries) return full(fmt::format("more than {} entries", kMaxFolderEntries));
      names.push_back(it->path().filename());
    }
    if (error) cannot_be_read(prefix, fmt::format("cannot be listed: {}", error.message()));
    std::sort(names.begin(), names.end());
    for (const fs::path& name : names) {
      if (full_) return;
      if (!name.native().starts_with('.')) entry(path / name, prefix + name.native(), depth);
    }
  }

  void entry(const fs::path& path, const std::string& name, int depth) {
    std::error_code error;
    const fs::path real = fs::canonical(path, error);
    const bool manifest = is_manifest_name(path);
    if (error) {
      std::error_code ignored;
      const bool absent = error == std::errc::no_such_file_or_directory;
      if (absent && !fs::is_symlink(path, ignored)) return;  // gone since the listing
      // A link with any name may have led to a folder.
      if (!manifest) return scan_.unreadable.push_back({name, false});
      return cannot_be_read(name, absent ? std::string("a link that leads nowhere: not read")
                                         : fmt::format("cannot be read: {}", error.message()));
    }
    const bool is_folder = fs::is_directory(real, error);
    if (!is_folder && !manifest) return;
    if (!is_inside(real, real_root_)) return cannot_be_read(name, "a link that leaves the folder: not read");
    if (is_folder) return folder(path, real, name + "/", depth + 1);
    // A pipe, socket or device holds no manifest, and to open one may wait or do something.
    if (!fs::is_regular_file(real, error)) return report(name, "not a regular file: not read");
    if (real.parent_path() != path.parent_path()) on_folder_(real.parent_path());
    if (!seen_.insert(real).second) return;
    if (scan_.files.size() == kMaxManifestFiles)
      return full(fmt::format("more than {} files", kMaxManifestFiles));
    scan_.files.push_back({name, path});
  }

  void full(const std::string& what) {
    if (!full_)
      report("", what + ": expected what concerns this pod's part of the mesh, or fewer and bigger files");
    full_ = true;
    scan_.complete = false;
  }

  void cannot_be_read(const std::string& name, std::string why) {
    report(name, std::move(why));
    scan_.unreadable.push_back({name});
  }

  void report(const std::string& name, std::string text) {
    scan_.problems.add({name.empty() ? root_.native() : name, 0, "", "", std::move(text), false});
  }

  const fs::path root_;
  fs::path real_root_;
  const std::function<void(const std::string&)>& on_folder_;
  std::set<fs::path> seen_;  // real paths
  FolderScan scan_;
  size_t entries_ = 0;
  bool full_ = false;
};

}  // namespace

FolderScan scan_folder(const std::string& root, const std::function<void(const std::string&)>& on_folder) {
  return Scanner(root, on_folder).run();
}

}  // namespace sockmesh::config
