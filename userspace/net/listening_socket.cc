#include "net/listening_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>

namespace sockmesh::net {

namespace {

Result<void> set_option(int fd, int level, int option, const char* what) {
  const int on = 1;
  if (setsockopt(fd, level, option, &on, sizeof on) != 0) return fail(os_error(what));
  return {};
}

}  // namespace

Result<Fd> listen_on(const SocketAddress& address, const ListenOptions& options,
                     const NetworkNamespace& network) {
  auto made = network.socket(address.family(), SOCK_STREAM);
  if (!made) return fail(made.error().within("listening on " + address.to_string()));
  Fd fd = std::move(*made);

  // A restarted agent must get its port back while connections of its predecessor linger in TIME_WAIT.
  SOCKMESH_CHECK(set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR"));
  if (options.group == PortGroup::kMember)
    SOCKMESH_CHECK(set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT"));
  if (address.ip.is_v6()) SOCKMESH_CHECK(set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY"));
  if (options.transparent) {
    const auto allowed = address.ip.is_v6()
                             ? set_option(fd.get(), SOL_IPV6, IPV6_TRANSPARENT, "IPV6_TRANSPARENT")
                             : set_option(fd.get(), SOL_IP, IP_TRANSPARENT, "IP_TRANSPARENT");
    if (!allowed) return fail(allowed.error().within("listening on " + address.to_string()));
  }

  sockaddr_storage storage{};
  const socklen_t length = address.to_sockaddr(storage);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0)
    return fail(os_error(fmt::format("bind {}", address.to_string())));
  if (listen(fd.get(), options.backlog) != 0)
    return fail(os_error(fmt::format("listen on {}", address.to_string())));
  // It listens, so nobody else did: bind() fails beside a listening socket, listen() beside one that began to
  // listen in between. The kernel lets a listening socket become the first of a group
  // (net/core/sock_reuseport.c, reuseport_add_sock).
  if (options.group == PortGroup::kFirst)
    SOCKMESH_CHECK(set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT"));
  return fd;
}

bool ipv6_available(const NetworkNamespace& network) {
  return static_cast<bool>(network.socket(AF_INET6, SOCK_STREAM));
}

}  // namespace sockmesh::net
