// Fork: a copy of this process as a child, for what has to lose its privileges, or to die, apart from the
// test. It speaks through a pipe. Killed when the object goes, and when the test's process does. Not
// thread-safe.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <functional>
#include <string>

#include "base/fd.h"

namespace sockmesh::test {

class Fork {
 public:
  // The child runs `body`, which writes to `tell`, and ends when it returns: status 0, or 1 after an
  // exception. With `namespaces` (CLONE_NEWUSER, ...) it is in new ones: unshare() in the child would need it
  // to be alone, and the thread sanitizer has a thread of its own. Throws std::runtime_error.
  explicit Fork(const std::function<void(int tell)>& body, unsigned long namespaces = 0);
  Fork(const Fork&) = delete;
  Fork& operator=(const Fork&) = delete;
  ~Fork() { die(); }

  pid_t pid() const { return pid_; }
  std::string hear(size_t bytes);  // fewer when it ended before
  std::string hear_all();          // until it ends, or closes the pipe
  template <typename T>
  T hear_value() {  // plain data, as the child has it in memory; throws when it ended before
    T value;
    hear_into(&value, sizeof value);
    return value;
  }
  int wait();  // until it ends: its status as waitpid() tells it
  void die(int signal = SIGKILL);

 private:
  void hear_into(void* value, size_t size);

  pid_t pid_ = -1;  // -1 once it was waited for
  Fd told_;
};

}  // namespace sockmesh::test
