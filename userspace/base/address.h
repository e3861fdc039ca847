// IpAddress, SocketAddress, Prefix: IPv4 and IPv6 addresses as plain values, their text forms, and the way to
// and from sockaddr. An IPv4-mapped IPv6 address (::ffff:a.b.c.d) becomes the IPv4 address on the way in, so
// that one connection has one spelling. Values, any thread.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/arithmetic.h"
#include "base/result.h"

namespace sockmesh {

class IpAddress {
 public:
  constexpr IpAddress() = default;  // 0.0.0.0
  static IpAddress v4(uint32_t host_order);
  static IpAddress v4(in_addr address);
  static IpAddress v6(const in6_addr& address);  // mapped addresses become v4
  static Result<IpAddress> parse(std::string_view text);
  static IpAddress any(bool ipv6) { return ipv6 ? v6(in6addr_any) : IpAddress{}; }
  static IpAddress loopback(bool ipv6);

  bool is_v4() const { return !v6_; }
  bool is_v6() const { return v6_; }
  bool is_any() const;
  bool is_loopback() const;  // 127.0.0.0/8, ::1
  bool is_link_local() const;
  int bits() const { return v6_ ? 128 : 32; }
  // Network order; 4 bytes are meaningful for v4, 16 for v6. Unused bytes are zero.
  const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  bool bit(int index) const { return (bytes_[static_cast<size_t>(index) / 8] >> (7 - index % 8)) & 1; }
  IpAddress masked(int prefix_length) const;
  std::string to_string() const;  // "10.0.0.1", "fd00::1"

  auto operator<=>(const IpAddress&) const = default;

 private:
  bool v6_ = false;
  std::array<uint8_t, 16> bytes_{};
};

struct SocketAddress {
  IpAddress ip;
  uint16_t port = 0;  // host order

  // "10.0.0.1:80", "[fd00::1]:80". A port is required.
  static Result<SocketAddress> parse(std::string_view text);
  static Result<SocketAddress> from(const sockaddr* address, socklen_t length);
  static Result<SocketAddress> local_of(int fd);  // getsockname
  static Result<SocketAddress> peer_of(int fd);   // getpeername

  // Fills `storage`, returns the length in use.
  socklen_t to_sockaddr(sockaddr_storage& storage) const;
  int family() const { return ip.is_v6() ? AF_INET6 : AF_INET; }
  std::string to_string() const;

  auto operator<=>(const SocketAddress&) const = default;
};

// A CIDR block. The address is kept masked, so that equal blocks compare equal.
struct Prefix {
  IpAddress address;
  uint8_t length = 0;  // bits

  // "10.0.0.0/8", "fd00::/8"; a bare address is the block of that address alone.
  static Result<Prefix> parse(std::string_view text);
  bool contains(const IpAddress& ip) const;
  bool is_host() const { return length == address.bits(); }
  std::string to_string() const;

  auto operator<=>(const Prefix&) const = default;
};

}  // namespace sockmesh

template <>
struct std::hash<sockmesh::IpAddress> {
  size_t operator()(const sockmesh::IpAddress& ip) const noexcept;
};
template <>
struct std::hash<sockmesh::SocketAddress> {
  SOCKMESH_WRAPS size_t operator()(const sockmesh::SocketAddress& address) const noexcept {
    return std::hash<sockmesh::IpAddress>{}(address.ip) ^ (address.port * 0x9e3779b97f4a7c15ull);
  }
};
