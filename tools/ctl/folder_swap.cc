#include "ctl/folder_swap.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace sockmesh::ctl {

namespace fs = std::filesystem;

namespace {

// Removes what is left of the copy, whichever of the two it is by then.
struct Removed {
  fs::path path;
  ~Removed() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

Result<void> exchange(const fs::path& a, const fs::path& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return {};
  if (errno == EBUSY || errno == EXDEV)
    return fail("{} is a mount point (a ConfigMap?): it can only be changed where it comes from", b.string());
  return fail(os_error("exchanging " + b.string() + " with its new content"));
}

}  // namespace

Result<void> replace_folder(const std::string& folder, const std::string& from) {
  std::error_code error;
  const fs::path target = fs::canonical(folder, error);  // a link is followed: what it leads to is replaced
  if (error) return fail("{}: {}", folder, error.message());
  const fs::path source = fs::canonical(from, error);
  if (error) return fail("{}: {}", from, error.message());
  if (target == source) return fail("{} is the agent's own folder: what is in it is in force already", from);

  const Removed copy{target.string() + fmt::format(".sockmesh-apply.{}", ::getpid())};
  fs::copy(source, copy.path, fs::copy_options::recursive, error);
  if (error) return fail("copying {} to {}: {}", from, copy.path.string(), error.message());
  struct stat old {};
  if (::stat(target.c_str(), &old) == 0) {
    // Only root may give files away; whoever else applies keeps them, as the folder's writer.
    (void)!::chown(copy.path.c_str(), old.st_uid, old.st_gid);
    ::chmod(copy.path.c_str(), old.st_mode & 07777);
  }
  return exchange(copy.path, target);
}

}  // namespace sockmesh::ctl
