#include "connection/proxy_protocol.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/strings.h"

namespace sockmesh::connection {

namespace {

constexpr std::string_view kSignatureV1 = "PROXY ";
constexpr std::string_view kSignatureV2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kMaxV1 = 107;  // the document's worst case, CRLF included
constexpr size_t kFixedV2 = 16;

ProxyHeader invalid(std::string expected) {
  ProxyHeader header;
  header.state = ProxyHeaderState::kInvalid;
  header.error = std::move(expected);
  return header;
}

ProxyHeader parse_v1(std::string_view text) {
  const size_t end = text.substr(0, kMaxV1).find("\r\n");
  if (end == std::string_view::npos) {
    if (text.size() >= kMaxV1) return invalid("expected CRLF within 107 bytes");
    return {};
  }
  ProxyHeader header;
  header.state = ProxyHeaderState::kComplete;
  header.length = end + 2;
  const auto words = split(text.substr(0, end), ' ');
  if (words.size() >= 2 && words[1] == "UNKNOWN") return header;
  if (words.size() != 6 || (words[1] != "TCP4" && words[1] != "TCP6"))
    return invalid("expected 'PROXY TCP4|TCP6 source destination port port' or 'PROXY UNKNOWN'");
  const auto source = IpAddress::parse(words[2]);
  const auto destination = IpAddress::parse(words[3]);
  const auto source_port = parse_number<uint16_t>(words[4]);
  const auto destination_port = parse_number<uint16_t>(words[5]);
  if (!source || !destination) return invalid("expected two IP addresses");
  if (!source_port || !destination_port) return invalid("expected two ports, 0 to 65535");
  header.source = SocketAddress{*source, *source_port};
  header.destination = SocketAddress{*destination, *destination_port};
  return header;
}

uint16_t number16(std::span<const uint8_t> bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

IpAddress address_at(std::span<const uint8_t> bytes, size_t at, bool ipv6) {
  if (ipv6) {
    in6_addr address{};
    std::memcpy(&address, bytes.data() + at, sizeof address);
    return IpAddress::v6(address);
  }
  in_addr address{};
  std::memcpy(&address, bytes.data() + at, sizeof address);
  return IpAddress::v4(address);
}

ProxyHeader parse_v2(std::span<const uint8_t> bytes) {
  if (bytes.size() < kFixedV2) return {};
  const uint8_t version = bytes[12] >> 4, command = bytes[12] & 0xf;
  const uint8_t family = bytes[13] >> 4, transport = bytes[13] & 0xf;
  const size_t length = number16(bytes, 14);
  if (version != 2) return invalid("expected version 2");
  if (command > 1) return invalid("expected command LOCAL or PROXY");
  if (kFixedV2 + length > kMaxProxyHeader) return invalid("expected at most 4096 bytes");
  if (bytes.size() < kFixedV2 + length) return {};

  ProxyHeader header;
  header.state = ProxyHeaderState::kComplete;
  header.length = kFixedV2 + length;
  const bool local = command == 0;
  const bool inet = family == 1 || family == 2;
  if (local || !inet || transport != 1) return header;
  const bool ipv6 = family == 2;
  const size_t size = ipv6 ? 16 : 4;
  if (length < 2 * size + 4) return invalid("expected two addresses and two ports");
  header.source = SocketAddress{address_at(bytes, kFixedV2, ipv6), number16(bytes, kFixedV2 + 2 * size)};
  header.destination =
      SocketAddress{address_at(bytes, kFixedV2 + size, ipv6), number16(bytes, kFixedV2 + 2 * size + 2)};
  return header;
}

void append16(std::string& text, uint16_t number) {
  text += static_cast<char>(number >> 8);
  text += static_cast<char>(number & 0xff);
}

void append_address(std::string& text, const IpAddress& ip, bool ipv6) {
  const auto* bytes = reinterpret_cast<const char*>(ip.bytes().data());
  if (ipv6 && ip.is_v4()) text.append(10, '\0').append("\xff\xff");
  text.append(bytes, ip.is_v6() ? 16 : 4);
}

}  // namespace

ProxyHeader parse_proxy_header(std::span<const uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto begins = [&](std::string_view signature) {
    const size_t common = std::min(text.size(), signature.size());
    return text.substr(0, common) == signature.substr(0, common);
  };
  if (begins(kSignatureV2)) return text.size() < kSignatureV2.size() ? ProxyHeader{} : parse_v2(bytes);
  if (begins(kSignatureV1)) return text.size() < kSignatureV1.size() ? ProxyHeader{} : parse_v1(text);
  return invalid("expected a PROXY protocol header");
}

std::string proxy_header(model::ProxyProtocol version, const SocketAddress& source,
                         const SocketAddress& destination) {
  const bool ipv6 = source.ip.is_v6() || destination.ip.is_v6();
  if (version == model::ProxyProtocol::kV1) {
    if (source.ip.is_v6() != destination.ip.is_v6()) return "PROXY UNKNOWN\r\n";
    return fmt::format("PROXY {} {} {} {} {}\r\n", ipv6 ? "TCP6" : "TCP4", source.ip.to_string(),
                       destination.ip.to_string(), source.port, destination.port);
  }
  if (version == model::ProxyProtocol::kNone) return "";
  std::string header(kSignatureV2);
  header += '\x21';                  // version 2, PROXY
  header += ipv6 ? '\x21' : '\x11';  // TCP
  append16(header, ipv6 ? 36 : 12);
  append_address(header, source.ip, ipv6);
  append_address(header, destination.ip, ipv6);
  append16(header, source.port);
  append16(header, destination.port);
  return header;
}

}  // namespace sockmesh::connection
