// For test binaries that need root: without it (or in a container that may not make namespaces) the run ends
// at once with exit status 77, which ctest shows as skipped. Listing the tests works for everybody.
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#define CATCH_CONFIG_EXTERNAL_INTERFACES  // listeners
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>

namespace sockmesh::test {
namespace {

bool may_make_namespaces() {
  const pid_t pid = fork();
  if (pid == 0) _exit(unshare(CLONE_NEWNET) == 0 ? 0 : 1);
  int status = 0;
  return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

struct NeedsRoot : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;
  void testRunStarting(const Catch::TestRunInfo&) override {
    if (geteuid() == 0 && may_make_namespaces()) return;
    std::puts("skipped: needs root and the right to make network namespaces");
    std::fflush(stdout);
    std::_Exit(77);
  }
};

}  // namespace
}  // namespace sockmesh::test

using sockmesh::test::NeedsRoot;
CATCH_REGISTER_LISTENER(NeedsRoot)
