#include "enclosure.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "base/strings.h"

namespace sockmesh::stress {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "sockmesh-stress-";

volatile sig_atomic_t enclosed = 0;

void pass_on(int number) {
  if (enclosed > 0) kill(enclosed, number);
}

void remove_leftovers() {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/tmp", ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    const auto pid = parse_number<pid_t>(std::string_view(name).substr(kPrefix.size()));
    if (pid && kill(*pid, 0) != 0 && errno == ESRCH) fs::remove_all(entry.path(), ignored);
  }
}

int refuse(const char* what) {
  fmt::print(stderr, "sm-stress: {}: {}\n", what, std::strerror(errno));
  return 77;
}

}  // namespace

int run_enclosed(const std::function<int()>& work) {
  remove_leftovers();
  const std::string folder = fmt::format("/tmp/{}{}", kPrefix, getpid());
  if (mkdir(folder.c_str(), 0755) != 0) return refuse(folder.c_str());
  setenv("TMPDIR", folder.c_str(), 1);
  mkdir("/run/netns", 0755);
  if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) return refuse("namespaces of its own (it needs root)");
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("stress", "/run/netns", "tmpfs", 0, nullptr) != 0 ||
        mount("proc", "/proc", "proc", 0, nullptr) != 0) {
      _exit(refuse("mounting"));
    }
    const int status = work();
    std::fflush(nullptr);
    _exit(status);
  }
  if (child < 0) return refuse("fork");
  enclosed = child;
  for (const int number : {SIGINT, SIGTERM}) signal(number, pass_on);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  std::fflush(nullptr);
  // At once: whoever would be forked now, as the leak sanitizer does at the end, has no process 1 any more.
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

}  // namespace sockmesh::stress
