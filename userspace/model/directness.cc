#include "model/directness.h"

#include <algorithm>

namespace sockmesh::model {

namespace {

// A duration of zero switches a limit off, as in Envoy; none given is Envoy's hour without a byte, which
// nobody asked for: an application that is silent for longer is glad to be left alone.
bool asked_for(const Rare<Duration>& limit) { return limit && *limit > Duration::zero(); }

NeedsAgent needs_agent(const Snapshot& snapshot, const Cluster& cluster) {
  if (cluster.proxy_protocol != ProxyProtocol::kNone) return NeedsAgent::kProxyProtocol;
  if (cluster.keepalive || cluster.bind_source_v4 || cluster.bind_source_v6 || cluster.original_dst_port)
    return NeedsAgent::kSocketOptions;
  for (const Endpoint& endpoint : cluster.endpoints) {
    if (std::holds_alternative<UnixPath>(endpoint.address)) return NeedsAgent::kUnixSocket;
    const auto* address = std::get_if<SocketAddress>(&endpoint.address);
    if (address != nullptr && is_own(snapshot, address->ip)) return NeedsAgent::kOwnPod;
  }
  return NeedsAgent::kNothing;
}

}  // namespace

std::string_view to_string(NeedsAgent need) {
  switch (need) {
    case NeedsAgent::kNothing:
      return "nothing needs the agent";
    case NeedsAgent::kAnswer:
      return "no filter chain takes it";
    case NeedsAgent::kFirstBytes:
      return "the route depends on the first bytes";
    case NeedsAgent::kSilence:
      return "it is closed without a log line";
    case NeedsAgent::kProxyProtocol:
      return "a PROXY header comes before the stream";
    case NeedsAgent::kTimeLimit:
      return "idleTimeout or maxConnectionDuration is asked for";
    case NeedsAgent::kCluster:
      return "a cluster of the route does not exist";
    case NeedsAgent::kSocketOptions:
      return "the upstream's socket has keepalive, a source address or a port of its own";
    case NeedsAgent::kUnixSocket:
      return "an endpoint is a Unix socket";
    case NeedsAgent::kOwnPod:
      return "it leads to this pod itself";
  }
  return "";
}

bool is_own(const Snapshot& snapshot, const IpAddress& ip) {
  return ip.is_loopback() || ip.is_link_local() || ip.is_any() ||
         std::find(snapshot.self_ips.begin(), snapshot.self_ips.end(), ip) != snapshot.self_ips.end();
}

NeedsAgent needs_agent(const Snapshot& snapshot, const Decision& decision) {
  if (decision.needs_inspection) return NeedsAgent::kFirstBytes;
  if (decision.chain == nullptr) return NeedsAgent::kAnswer;
  const FilterChain& chain = *decision.chain;
  if (!chain.log) return NeedsAgent::kSilence;
  if (decision.listener != nullptr && decision.listener->accept_proxy_protocol)
    return NeedsAgent::kProxyProtocol;
  if (asked_for(chain.route.idle_timeout) || asked_for(chain.route.max_connection_duration))
    return NeedsAgent::kTimeLimit;
  for (const WeightedCluster& part : chain.route.clusters) {
    const Cluster* cluster = snapshot.find_cluster(part.cluster);
    if (cluster == nullptr) return NeedsAgent::kCluster;
    if (const NeedsAgent need = needs_agent(snapshot, *cluster); need != NeedsAgent::kNothing) return need;
  }
  return NeedsAgent::kNothing;
}

}  // namespace sockmesh::model
