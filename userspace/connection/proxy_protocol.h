// The PROXY protocol (haproxy.org/download/2.9/doc/proxy-protocol.txt), versions 1 and 2: who the client
// really is, told in front of the first byte. Read where a listener expects it, written where a cluster asks
// for it. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/address.h"
#include "base/clock.h"
#include "model/snapshot.h"

namespace sockmesh::connection {

// Longest header accepted: addresses take 232 bytes at most, the rest are TLVs of load balancers.
inline constexpr size_t kMaxProxyHeader = 4096;
// How long all of it is waited for. Envoy's listener_filters_timeout: a sender that announces itself does so
// in its first packet.
inline constexpr Duration kProxyHeaderTime = std::chrono::seconds(15);

enum class ProxyHeaderState : uint8_t { kNeedMore, kInvalid, kComplete };

struct ProxyHeader {
  ProxyHeaderState state = ProxyHeaderState::kNeedMore;
  size_t length = 0;  // complete: bytes to remove from the stream
  // Absent when the sender speaks for itself (LOCAL) or does not know (UNKNOWN, Unix sockets).
  std::optional<SocketAddress> source, destination;
  std::string error;  // invalid: what was expected
};

// `bytes` are the first that the client sent.
ProxyHeader parse_proxy_header(std::span<const uint8_t> bytes);

// The header to send; "" for kNone. Addresses of two families become UNKNOWN (v1) or IPv6 with mapped
// addresses (v2).
std::string proxy_header(model::ProxyProtocol version, const SocketAddress& source,
                         const SocketAddress& destination);

}  // namespace sockmesh::connection
