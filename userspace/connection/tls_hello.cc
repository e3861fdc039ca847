#include "connection/tls_hello.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "base/strings.h"

namespace sockmesh::connection {

namespace {

constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kClientHello = 1;
constexpr size_t kMaxRecord = 16384;
constexpr uint16_t kServerNameExtension = 0;
constexpr uint16_t kAlpnExtension = 16;
constexpr uint8_t kHostName = 0;

// Reads forward through bytes; once it ran past the end it stays failed and reads zeros.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool ok() const { return ok_; }
  bool empty() const { return bytes_.empty(); }
  uint32_t number(size_t width) {
    uint32_t value = 0;
    for (const uint8_t byte : take(width)) value = value << 8 | byte;
    return value;
  }
  std::span<const uint8_t> take(size_t count) {
    if (count > bytes_.size()) {
      ok_ = false;
      bytes_ = {};
      return {};
    }
    const auto taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }
  // A vector with its length, of `width` bytes, in front.
  std::span<const uint8_t> vector(size_t width) { return take(number(width)); }

 private:
  std::span<const uint8_t> bytes_;
  bool ok_ = true;
};

// The handshake bytes inside the records. nullopt: these are not handshake records.
std::optional<std::vector<uint8_t>> unwrap_records(std::span<const uint8_t> bytes) {
  std::vector<uint8_t> handshake;
  while (!bytes.empty()) {
    if (bytes[0] != kHandshakeRecord) return std::nullopt;
    if (bytes.size() > 1 && bytes[1] != 3) return std::nullopt;  // SSL 3.0 to TLS 1.3 all say 3.x
    if (bytes.size() < 5) break;
    const size_t length = size_t{bytes[3]} << 8 | bytes[4];
    if (length == 0 || length > kMaxRecord) return std::nullopt;
    const size_t present = std::min(length, bytes.size() - 5);
    handshake.insert(handshake.end(), bytes.begin() + 5, bytes.begin() + 5 + static_cast<ptrdiff_t>(present));
    if (!handshake.empty() && handshake[0] != kClientHello) return std::nullopt;
    if (handshake.size() >= 4) {
      const size_t wanted = size_t{handshake[1]} << 16 | size_t{handshake[2]} << 8 | handshake[3];
      if (handshake.size() >= wanted + 4) break;
    }
    bytes = bytes.subspan(5 + present);
  }
  return handshake;
}

bool plausible_name(std::string_view name) {
  return name.size() <= 255 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

// The host name in a server_name extension. False: malformed.
bool read_server_name(std::span<const uint8_t> extension, std::string& name) {
  Reader outer(extension);
  Reader names(outer.vector(2));
  while (outer.ok() && !names.empty()) {
    const uint32_t type = names.number(1);
    const auto bytes = names.vector(2);
    if (!names.ok()) return false;
    if (type != kHostName) continue;
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (!plausible_name(text)) return false;
    name = to_lower(text);
    return true;
  }
  return outer.ok();
}

// The names in an application_layer_protocol_negotiation extension. False: malformed.
bool read_application_protocols(std::span<const uint8_t> extension, std::vector<std::string>& protocols) {
  Reader outer(extension);
  Reader names(outer.vector(2));
  while (outer.ok() && !names.empty()) {
    const auto bytes = names.vector(1);
    if (!names.ok()) return false;
    protocols.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return outer.ok();
}

// The whole body of a ClientHello. False: malformed.
bool read_hello(std::span<const uint8_t> body, ClientHello& found) {
  Reader hello(body);
  hello.take(2 + 32);  // version, random
  hello.vector(1);     // session id
  hello.vector(2);     // cipher suites
  hello.vector(1);     // compression methods
  if (!hello.ok()) return false;
  if (hello.empty()) return true;  // a hello without extensions is from before 2003, but legal
  Reader extensions(hello.vector(2));
  while (hello.ok() && !extensions.empty()) {
    const uint32_t type = extensions.number(2);
    const auto extension = extensions.vector(2);
    if (!extensions.ok()) return false;
    if (type == kServerNameExtension && !read_server_name(extension, found.server_name)) return false;
    if (type == kAlpnExtension && !read_application_protocols(extension, found.application_protocols))
      return false;
  }
  return hello.ok();
}

}  // namespace

ClientHello parse_client_hello(std::span<const uint8_t> bytes) {
  ClientHello hello;
  const auto handshake = unwrap_records(bytes.first(std::min(bytes.size(), kMaxClientHello)));
  if (!handshake) {
    hello.state = HelloState::kNotTls;
    return hello;
  }
  const size_t length = handshake->size() < 4
                            ? SIZE_MAX - 4
                            : size_t{(*handshake)[1]} << 16 | size_t{(*handshake)[2]} << 8 | (*handshake)[3];
  if (handshake->size() < length + 4) {
    // Longer than we look at: surely TLS, its names unknown.
    if (bytes.size() >= kMaxClientHello) hello.state = HelloState::kTls;
    return hello;
  }
  if (read_hello(std::span(*handshake).subspan(4, length), hello)) {
    hello.state = HelloState::kTls;
    return hello;
  }
  return {HelloState::kNotTls, "", {}};
}

}  // namespace sockmesh::connection
