// Directness: whether connections that a filter chain takes could do without the agent, their sockets joined
// to an endpoint while they connect, or what the agent has to be there for. The one place that says so: the
// tables for the kernel and explain ask here. Pure, any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "model/match.h"

namespace sockmesh::model {

// What the agent is needed for; the first that applies, in this order.
enum class NeedsAgent : uint8_t {
  kNothing,        // may be direct
  kAnswer,         // no filter chain: closed with NR, which an errno cannot say
  kFirstBytes,     // the chain depends on SNI, on ALPN, or on its being TLS
  kSilence,        // to be closed without a log line
  kProxyProtocol,  // a header to be read or written before the application's bytes
  kTimeLimit,      // idleTimeout or maxConnectionDuration was asked for
  kCluster,        // a cluster of the route does not exist: NC
  kSocketOptions,  // keepalive, a source address or another port that the upstream's socket is to have
  kUnixSocket,     // an endpoint is a path
  kOwnPod,         // an endpoint, or the destination, is this pod: its own inbound policy would be passed by
};
std::string_view to_string(NeedsAgent need);  // for people: "the route depends on the first bytes"

// Of an outbound decision, made without having seen the first bytes.
NeedsAgent needs_agent(const Snapshot& snapshot, const Decision& decision);
bool is_own(const Snapshot& snapshot, const IpAddress& ip);  // loopback and link-local included

}  // namespace sockmesh::model
