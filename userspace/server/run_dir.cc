#include "server/run_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/strings.h"

namespace sockmesh::server {

Result<RunDir> RunDir::claim(std::string path, uid_t uid, gid_t gid) {
  std::error_code error;
  const bool made = std::filesystem::create_directories(path, error);
  if (error) return fail("--run-dir '{}': {}", path, error.message());

  RunDir dir(std::move(path));
  dir.pid_file_ = Fd(open(dir.pid_path().c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!dir.pid_file_) return fail(os_error(fmt::format("opening {}", dir.pid_path())));
  if (flock(dir.pid_file_.get(), LOCK_EX | LOCK_NB) != 0) {
    char text[32] = {};
    const ssize_t size = pread(dir.pid_file_.get(), text, sizeof text - 1, 0);
    const auto pid = parse_number<pid_t>(trim({text, static_cast<size_t>(std::max<ssize_t>(size, 0))}));
    dir.pid_file_.reset();  // it is another agent's: not ours to remove
    return fail("--run-dir '{}': another agent uses it{}", dir.path_,
                pid ? fmt::format(" (pid {})", *pid) : "");
  }
  // The socket is made, and everything removed, after privileges were dropped. A directory that was there
  // already is somebody's; whoever made it for us gave it to us.
  if (geteuid() == 0 && made && chown(dir.path_.c_str(), uid, gid) != 0)
    return fail(os_error(fmt::format("giving {} to {}:{}", dir.path_, uid, gid)));
  const std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(dir.pid_file_.get(), 0) != 0 ||
      pwrite(dir.pid_file_.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
    return fail(os_error(fmt::format("writing {}", dir.pid_path())));
  return dir;
}

RunDir::~RunDir() {
  if (pid_file_) unlink(pid_path().c_str());
}

}  // namespace sockmesh::server
