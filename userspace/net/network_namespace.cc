#include "net/network_namespace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>

namespace sockmesh::net {

namespace {

// The namespace of the process. Opened before anybody can enter another one, and then kept.
Result<int> home() {
  static const Fd fd(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(os_error("/proc/self/ns/net"));
  return fd.get();
}

}  // namespace

Result<NetworkNamespace> NetworkNamespace::open(const std::string& path) {
  SOCKMESH_CHECK(home());
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(os_error(fmt::format("network namespace {}", path)));
  return NetworkNamespace(std::move(fd));
}

NetworkNamespace::Inside::~Inside() {
  if (!back_) return;
  const auto fd = home();
  if (fd && setns(*fd, CLONE_NEWNET) == 0) return;
  std::perror("leaving a pod's network namespace");
  std::abort();
}

Result<NetworkNamespace::Inside> NetworkNamespace::enter() const {
  if (!fd_) return Inside(false);
  if (setns(fd_->get(), CLONE_NEWNET) != 0) return fail(os_error("entering a pod's network namespace"));
  return Inside(true);
}

Result<Fd> NetworkNamespace::socket(int family, int type) const {
  SOCKMESH_TRY(inside, enter());
  Fd fd(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail(os_error("socket"));
  return fd;
}

}  // namespace sockmesh::net
