#include "base/address.h"

#include <arpa/inet.h>

#include <cstring>

#include "base/arithmetic.h"
#include "base/strings.h"

namespace sockmesh {

IpAddress IpAddress::v4(uint32_t host_order) { return v4(in_addr{htonl(host_order)}); }

IpAddress IpAddress::v4(in_addr address) {
  IpAddress ip;
  std::memcpy(ip.bytes_.data(), &address.s_addr, 4);
  return ip;
}

IpAddress IpAddress::v6(const in6_addr& address) {
  IpAddress ip;
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    std::memcpy(ip.bytes_.data(), address.s6_addr + 12, 4);
    return ip;
  }
  ip.v6_ = true;
  std::memcpy(ip.bytes_.data(), address.s6_addr, 16);
  return ip;
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string copy(text);
  in_addr a4;
  if (inet_pton(AF_INET, copy.c_str(), &a4) == 1) return v4(a4);
  in6_addr a6;
  if (inet_pton(AF_INET6, copy.c_str(), &a6) == 1) return v6(a6);
  return fail("'{}': expected an IPv4 or IPv6 address", text);
}

IpAddress IpAddress::loopback(bool ipv6) { return ipv6 ? v6(in6addr_loopback) : v4(INADDR_LOOPBACK); }

bool IpAddress::is_any() const { return bytes_ == std::array<uint8_t, 16>{}; }

bool IpAddress::is_loopback() const { return v6_ ? *this == loopback(true) : bytes_[0] == 127; }

bool IpAddress::is_link_local() const {
  return v6_ ? bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80 : bytes_[0] == 169 && bytes_[1] == 254;
}

IpAddress IpAddress::masked(int prefix_length) const {
  IpAddress out = *this;
  for (int byte = 0; byte < bits() / 8; ++byte) {
    const int keep = prefix_length - byte * 8;
    if (keep >= 8) continue;
    out.bytes_[static_cast<size_t>(byte)] &= keep <= 0 ? 0 : static_cast<uint8_t>(0xff << (8 - keep));
  }
  return out;
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(v6_ ? AF_INET6 : AF_INET, bytes_.data(), text, sizeof text);
  return text;
}

Result<SocketAddress> SocketAddress::parse(std::string_view text) {
  const auto wrong = [&] { return fail("'{}': expected ADDRESS:PORT, an IPv6 address in brackets", text); };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong();
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto port = parse_number<uint16_t>(text.substr(colon + 1));
  const auto ip = IpAddress::parse(host);
  if (!port || !ip || bracketed != (host.find(':') != std::string_view::npos)) return wrong();
  return SocketAddress{*ip, *port};
}

Result<SocketAddress> SocketAddress::from(const sockaddr* address, socklen_t length) {
  if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof in);
    return SocketAddress{IpAddress::v4(in.sin_addr), ntohs(in.sin_port)};
  }
  if (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 in;
    std::memcpy(&in, address, sizeof in);
    return SocketAddress{IpAddress::v6(in.sin6_addr), ntohs(in.sin6_port)};
  }
  return fail("socket address of family {} and {} bytes: expected AF_INET or AF_INET6", address->sa_family,
              length);
}

Result<SocketAddress> SocketAddress::local_of(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0)
    return fail(os_error("getsockname"));
  return from(reinterpret_cast<sockaddr*>(&storage), length);
}

Result<SocketAddress> SocketAddress::peer_of(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0)
    return fail(os_error("getpeername"));
  return from(reinterpret_cast<sockaddr*>(&storage), length);
}

socklen_t SocketAddress::to_sockaddr(sockaddr_storage& storage) const {
  storage = {};
  if (ip.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, ip.bytes().data(), 4);
    std::memcpy(&storage, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port);
  std::memcpy(&in.sin6_addr, ip.bytes().data(), 16);
  std::memcpy(&storage, &in, sizeof in);
  return sizeof in;
}

std::string SocketAddress::to_string() const {
  return ip.is_v6() ? fmt::format("[{}]:{}", ip.to_string(), port)
                    : fmt::format("{}:{}", ip.to_string(), port);
}

Result<Prefix> Prefix::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto ip = IpAddress::parse(text.substr(0, slash));
  if (!ip) return fail("'{}': expected a CIDR block such as 10.0.0.0/8 or fd00::/8", text);
  if (slash == std::string_view::npos) return Prefix{*ip, static_cast<uint8_t>(ip->bits())};
  const auto length = parse_number<uint8_t>(text.substr(slash + 1));
  if (!length || *length > ip->bits()) {
    return fail("'{}': expected a prefix length from 0 to {}", text, ip->bits());
  }
  return Prefix{ip->masked(*length), *length};
}

bool Prefix::contains(const IpAddress& ip) const {
  return ip.is_v6() == address.is_v6() && ip.masked(length) == address;
}

std::string Prefix::to_string() const { return fmt::format("{}/{}", address.to_string(), length); }

}  // namespace sockmesh

SOCKMESH_WRAPS size_t
std::hash<sockmesh::IpAddress>::operator()(const sockmesh::IpAddress& ip) const noexcept {
  uint64_t high, low;
  std::memcpy(&high, ip.bytes().data(), 8);
  std::memcpy(&low, ip.bytes().data() + 8, 8);
  uint64_t mixed = (high ^ (low * 0xff51afd7ed558ccdull)) * 0x9e3779b97f4a7c15ull;
  return static_cast<size_t>(mixed ^ (mixed >> 32));
}
