// What may be direct: whether the connections that a filter chain takes can be led to their endpoint by the
// kernel when the application connects (lane 3), or have to pass the agent, and then why. Decided by the
// configuration alone; what changes by the minute (health, resolved names, live counts) is
// userspace/direct's. When in doubt they pass the agent. Pure, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "model/match.h"
#include "model/snapshot.h"

namespace sockmesh::model {

enum class NotDirect : uint8_t {
  // The destination.
  kNotCaptured,   // nothing is redirected to this proxy, or not this destination
  kLoopback,      // or no address at all, which Linux takes for loopback
  kOwnAddress,    // the pod's own
  kCapturePort,   // of the proxy itself
  kBoundByProxy,  // the proxy has bound the port, and accepts
  // The filter chain.
  kFirstBytes,
  kNoFilterChain,
  kUnlogged,
  kAcceptsProxyProtocol,
  kIdleTimeout,
  kMaxDuration,
  // A cluster of its route.
  kNoCluster,
  kSendsProxyProtocol,
  kKeepalive,
  kBindSource,
  kUnixEndpoint,
  kOwnEndpoint,    // an endpoint is the pod itself: its inbound side would not be asked
  kOtherPort,      // dialled at another port than the application's
  kOtherFamily,    // an endpoint of the other IP family than the destination
  kNamesPending,   // names not resolved yet
  kSourceUnknown,  // hashed by a source address that is not known before the connect
  kTooMany,        // more clusters or hosts than a decision in the kernel holds
  // Inbound.
  kMovedInbound,    // delivered to another address or port than was dialled
  kMaxConnections,  // a bound that only who accepts can keep
};
inline constexpr std::array kAllNotDirect{NotDirect::kNotCaptured,          NotDirect::kLoopback,
                                          NotDirect::kOwnAddress,           NotDirect::kCapturePort,
                                          NotDirect::kBoundByProxy,         NotDirect::kFirstBytes,
                                          NotDirect::kNoFilterChain,        NotDirect::kUnlogged,
                                          NotDirect::kAcceptsProxyProtocol, NotDirect::kIdleTimeout,
                                          NotDirect::kMaxDuration,          NotDirect::kNoCluster,
                                          NotDirect::kSendsProxyProtocol,   NotDirect::kKeepalive,
                                          NotDirect::kBindSource,           NotDirect::kUnixEndpoint,
                                          NotDirect::kOwnEndpoint,          NotDirect::kOtherPort,
                                          NotDirect::kOtherFamily,          NotDirect::kNamesPending,
                                          NotDirect::kSourceUnknown,        NotDirect::kTooMany,
                                          NotDirect::kMovedInbound,         NotDirect::kMaxConnections};
const char* to_string(NotDirect reason);  // a word, for scripts: "first_bytes"
const char* describe(NotDirect reason);   // for people: "its filter chain depends on the first bytes (...)"

// What the agent and the pod's rules allow.
struct DirectTerms {
  // The agent can end a connection that it does not carry, and so keeps idleTimeout and
  // maxConnectionDuration.
  bool ends_flows = false;
  // Beside those of the virtual listeners: ports that redirected connections arrive at.
  std::vector<uint16_t> capture_ports;
  // What the rules capture (sockmesh-init's -o, -x, -q, -i). No ranges to include: every address.
  std::vector<uint16_t> excluded_ports, included_ports;
  std::vector<Prefix> excluded_ranges, included_ranges;
};

// Why connections to this destination pass the agent whatever is configured for them; absent: ask the chain.
// Outbound.
std::optional<NotDirect> not_direct(const Snapshot& snapshot, const SocketAddress& destination,
                                    const DirectTerms& terms);

// The listener and the chain that match() found, without the clusters of its route.
std::optional<NotDirect> not_direct(const Listener& listener, const FilterChain& chain,
                                    const DirectTerms& terms);

// One cluster of a route for destinations of a family; null: it does not exist. `hash_source_ip` is the
// route's. What the names of a DNS cluster resolve to is not looked at.
std::optional<NotDirect> not_direct(const Snapshot& snapshot, const Cluster* cluster, bool ipv6,
                                    bool hash_source_ip);

// One endpoint of such a cluster; a name is no reason.
std::optional<NotDirect> not_direct(const Snapshot& snapshot, const EndpointAddress& endpoint, bool ipv6);

// Whether hosts are chosen by a hash: ring or Maglev.
bool hashes(LbPolicy policy);

// The source address of connections of this family, if there is only one it can be.
std::optional<IpAddress> source_address(const Snapshot& snapshot, bool ipv6);

// All of it: the connections that `decision` = match(snapshot, connection) is about. Absent: direct. A route
// is direct if each cluster is that may be drawn: if the agent drew again what the kernel left to it, the
// shares would be others.
std::optional<NotDirect> not_direct(const Snapshot& snapshot, const ConnectionInfo& connection,
                                    const Decision& decision, const DirectTerms& terms);

// Whether an inbound port of the pod asks for the agent. Absent: connections to it may be left out of
// capture. The application then sees the client's address instead of 127.0.0.6.
std::optional<NotDirect> inbound_not_direct(const Snapshot& snapshot, uint16_t port,
                                            const DirectTerms& terms);

}  // namespace sockmesh::model
