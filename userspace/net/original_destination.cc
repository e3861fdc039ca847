#include "net/original_destination.h"

#include <netinet/in.h>

#include <optional>

namespace sockmesh::net {

namespace {

// linux/netfilter_ipv4.h and netfilter_ipv6/ip6_tables.h name them; both clash with netinet/in.h.
constexpr int kSoOriginalDst = 80;

std::optional<SocketAddress> tracked_destination(int fd, int level) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (getsockopt(fd, level, kSoOriginalDst, &storage, &length) != 0) return std::nullopt;
  auto address = SocketAddress::from(reinterpret_cast<const sockaddr*>(&storage), length);
  if (!address) return std::nullopt;
  return *address;
}

}  // namespace

Captured decide(const SocketAddress& local, const SocketAddress* tracked, uint16_t listener_port) {
  if (tracked != nullptr && *tracked != local) return {*tracked, true};
  // TPROXY delivers to a listener without rewriting, so the local port is not the listener's.
  return {local, local.port != listener_port};
}

Result<Captured> original_destination(int fd, uint16_t listener_port) {
  SOCKMESH_TRY(local, SocketAddress::local_of(fd));
  // A dual-stack socket carries IPv4 connections too, so the family asked is that of the address, not of the
  // socket.
  const auto tracked = tracked_destination(fd, local.ip.is_v6() ? SOL_IPV6 : SOL_IP);
  return decide(local, tracked ? &*tracked : nullptr, listener_port);
}

}  // namespace sockmesh::net
