#include "test_support/fork.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

#include "base/error.h"

namespace sockmesh::test {

namespace {

[[noreturn]] void run(const std::function<void(int)>& body, int tell) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::signal(SIGABRT, SIG_DFL);  // the test runner's own
  try {
    body(tell);
  } catch (...) {
    _exit(1);
  }
  _exit(0);
}

}  // namespace

Fork::Fork(const std::function<void(int tell)>& body, unsigned long namespaces) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error(os_error("pipe2").message);
  told_ = Fd(ends[0]);
  const Fd tell(ends[1]);
  pid_ = namespaces == 0 ? fork() : static_cast<pid_t>(syscall(SYS_clone, SIGCHLD | namespaces, 0, 0, 0, 0));
  if (pid_ < 0) throw std::runtime_error(os_error("fork").message);
  if (pid_ == 0) run(body, tell.get());
}

std::string Fork::hear(size_t bytes) {
  std::string said;
  char piece[4096];
  while (said.size() < bytes) {
    const ssize_t n = read(told_.get(), piece, std::min(sizeof piece, bytes - said.size()));
    if (n <= 0) break;
    said.append(piece, static_cast<size_t>(n));
  }
  return said;
}

std::string Fork::hear_all() { return hear(std::numeric_limits<size_t>::max()); }

void Fork::hear_into(void* value, size_t size) {
  const std::string said = hear(size);
  if (said.size() != size) throw std::runtime_error("the child ended before it had said what it was to say");
  std::memcpy(value, said.data(), size);
}

int Fork::wait() {
  int status = -1;
  if (pid_ > 0) waitpid(std::exchange(pid_, -1), &status, 0);
  return status;
}

void Fork::die(int signal) {
  if (pid_ <= 0) return;
  kill(pid_, signal);
  wait();
}

}  // namespace sockmesh::test
