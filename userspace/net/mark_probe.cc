#include "net/mark_probe.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>

#include "base/address.h"

namespace sockmesh::net {

namespace {

constexpr std::chrono::milliseconds kProbeTimeout(300);
constexpr int kOneHop = 1;

// A SYN to nobody's address; `mark` 0: without one.
Result<Fd> send_syn(uint32_t mark, bool ipv6, const NetworkNamespace& network) {
  SOCKMESH_TRY(to, SocketAddress::parse(ipv6 ? "[2001:db8::1]:9" : "192.0.2.1:9"));
  SOCKMESH_TRY(socket, network.socket(to.family(), SOCK_STREAM));
  const int hops_level = ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, hops = ipv6 ? IPV6_UNICAST_HOPS : IP_TTL;
  if (setsockopt(socket.get(), hops_level, hops, &kOneHop, sizeof kOneHop) != 0)
    return fail(os_error("setting the hop limit"));
  if (mark != 0 && setsockopt(socket.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0)
    return fail(os_error("setting a mark (CAP_NET_ADMIN)"));
  sockaddr_storage storage{};
  const socklen_t length = to.to_sockaddr(storage);
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0 &&
      errno != EINPROGRESS && errno != ECONNREFUSED)
    return fail(os_error(fmt::format("connecting to {}", to.to_string())));
  return socket;
}

// The kernel has answered by itself: the proxy's port refused, or took it.
bool answered(const Fd& socket, std::chrono::milliseconds timeout) {
  pollfd ready{socket.get(), POLLOUT, 0};
  if (poll(&ready, 1, static_cast<int>(timeout.count())) != 1) return false;
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 || error == ECONNREFUSED;
}

}  // namespace

Result<MarkProbe> probe_mark(uint32_t mark, bool ipv6, const NetworkNamespace& network) {
  SOCKMESH_TRY(marked, send_syn(mark, ipv6, network));
  SOCKMESH_TRY(plain, send_syn(0, ipv6, network));
  MarkProbe probe;
  probe.captured = answered(plain, kProbeTimeout);
  // What is redirected is answered in the order in which it was sent.
  probe.mark_passes = !answered(marked, std::chrono::milliseconds(0));
  return probe;
}

}  // namespace sockmesh::net
