// What a TLS client asks for, read from its ClientHello (RFC 8446 4.1.2) without taking part in the
// handshake: the server name (SNI, RFC 6066 3) and the application protocols (ALPN, RFC 7301). Pure;
// tolerates a hello split over several records. What Envoy's TLS inspector does, for the part that routing
// needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sockmesh::connection {

// Looked at, at most: a hello is a few hundred bytes, with post-quantum keys some two thousand.
inline constexpr size_t kMaxClientHello = 16 * 1024;

enum class HelloState : uint8_t {
  kNeedMore,  // a hello so far
  kNotTls,    // something else, or a broken hello
  kTls,
};

struct ClientHello {
  HelloState state = HelloState::kNeedMore;
  std::string server_name;                         // lower case, "" when none is asked for
  std::vector<std::string> application_protocols;  // in the client's order
};

// `bytes` are the first that the client sent.
ClientHello parse_client_hello(std::span<const uint8_t> bytes);

}  // namespace sockmesh::connection
