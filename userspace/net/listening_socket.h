// Listening sockets: non-blocking, one per worker and address family, sharing the port with SO_REUSEPORT so
// that the kernel spreads connections over the workers, and with nobody else. Made by any thread, used by
// one.
#pragma once

#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"
#include "net/network_namespace.h"

namespace sockmesh::net {

// Sockets share a port when all of them ask for it and have the same user, whoever they are: a second agent
// that asks would get half of the first one's connections. So only sockets that know of each other may ask.
enum class PortGroup : uint8_t {
  kAlone,   // nobody else may have the port, now or later
  kFirst,   // nobody else may have it now; members may come
  kMember,  // of a group whose first socket is the caller's own, and still open
};

struct ListenOptions {
  // IP_TRANSPARENT: accepts connections to any address that TPROXY hands over. Needs CAP_NET_ADMIN or
  // CAP_NET_RAW while the socket is made.
  bool transparent = false;
  PortGroup group = PortGroup::kAlone;
  // Connections the kernel completes before we accept them; it caps this at net.core.somaxconn.
  int backlog = 4096;
};

// An IPv6 socket takes IPv6 only: the wildcard of each family is a socket of its own.
Result<Fd> listen_on(const SocketAddress& address, const ListenOptions& options,
                     const NetworkNamespace& network = {});

// False where the kernel has no IPv6 at all; then only IPv4 sockets are made.
bool ipv6_available(const NetworkNamespace& network = {});

}  // namespace sockmesh::net
