#include "model/direct.h"

#include <algorithm>

namespace sockmesh::model {

namespace {

template <typename T>
bool contains(const std::vector<T>& list, const T& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

bool in_one_of(const std::vector<Prefix>& blocks, const IpAddress& ip) {
  return std::any_of(blocks.begin(), blocks.end(), [&](const Prefix& block) { return block.contains(ip); });
}

bool is_capture_port(const Snapshot& snapshot, uint16_t port, const DirectTerms& terms) {
  const auto takes = [&](const Listener* listener) {
    return listener != nullptr &&
           std::any_of(listener->addresses.begin(), listener->addresses.end(),
                       [&](const SocketAddress& address) { return address.port == port; });
  };
  return takes(snapshot.virtual_outbound) || takes(snapshot.virtual_inbound) ||
         contains(terms.capture_ports, port);
}

// In the order of the rules: excluded ports, excluded blocks, included ports, included blocks.
bool captured(const SocketAddress& destination, const DirectTerms& terms) {
  if (contains(terms.excluded_ports, destination.port)) return false;
  if (in_one_of(terms.excluded_ranges, destination.ip)) return false;
  if (contains(terms.included_ports, destination.port)) return true;
  return terms.included_ranges.empty() || in_one_of(terms.included_ranges, destination.ip);
}

// An hour of silence, which Envoy allows where nothing is configured, was nobody's wish: it spares the proxy
// what a silent connection costs it, and a direct one costs it nothing. A time that was asked for is kept.
std::optional<NotDirect> times_of(const Route& route, const DirectTerms& terms) {
  const auto asked = [](const Rare<Duration>& time) { return time && time->count() > 0; };
  if (terms.ends_flows) return std::nullopt;
  if (asked(route.idle_timeout)) return NotDirect::kIdleTimeout;
  if (asked(route.max_connection_duration)) return NotDirect::kMaxDuration;
  return std::nullopt;
}

std::optional<NotDirect> endpoints_of(const Snapshot& snapshot, const Cluster& cluster, bool ipv6) {
  for (const Endpoint& endpoint : cluster.endpoints)
    if (endpoint.weight > 0)
      if (const auto reason = not_direct(snapshot, endpoint.address, ipv6)) return reason;
  return std::nullopt;
}

}  // namespace

const char* to_string(NotDirect reason) {
  switch (reason) {
    case NotDirect::kNotCaptured:
      return "not_captured";
    case NotDirect::kLoopback:
      return "loopback";
    case NotDirect::kOwnAddress:
      return "own_address";
    case NotDirect::kCapturePort:
      return "capture_port";
    case NotDirect::kBoundByProxy:
      return "bound_by_proxy";
    case NotDirect::kFirstBytes:
      return "first_bytes";
    case NotDirect::kNoFilterChain:
      return "no_filter_chain";
    case NotDirect::kUnlogged:
      return "unlogged";
    case NotDirect::kAcceptsProxyProtocol:
      return "accepts_proxy_protocol";
    case NotDirect::kIdleTimeout:
      return "idle_timeout";
    case NotDirect::kMaxDuration:
      return "max_connection_duration";
    case NotDirect::kNoCluster:
      return "no_cluster";
    case NotDirect::kSendsProxyProtocol:
      return "sends_proxy_protocol";
    case NotDirect::kKeepalive:
      return "keepalive";
    case NotDirect::kBindSource:
      return "bind_source";
    case NotDirect::kUnixEndpoint:
      return "unix_endpoint";
    case NotDirect::kOwnEndpoint:
      return "own_endpoint";
    case NotDirect::kOtherPort:
      return "other_port";
    case NotDirect::kOtherFamily:
      return "other_family";
    case NotDirect::kNamesPending:
      return "names_pending";
    case NotDirect::kSourceUnknown:
      return "source_unknown";
    case NotDirect::kTooMany:
      return "too_many";
    case NotDirect::kMovedInbound:
      return "moved_inbound";
    case NotDirect::kMaxConnections:
      return "max_connections";
  }
  return "";
}

const char* describe(NotDirect reason) {
  switch (reason) {
    case NotDirect::kNotCaptured:
      return "the pod's rules do not redirect it";
    case NotDirect::kLoopback:
      return "loopback is not redirected";
    case NotDirect::kOwnAddress:
      return "the pod calls itself";
    case NotDirect::kCapturePort:
      return "the port is the proxy's own";
    case NotDirect::kBoundByProxy:
      return "the proxy has bound the port and accepts the connection";
    case NotDirect::kFirstBytes:
      return "the choice depends on the first bytes (SNI, ALPN, TLS or not)";
    case NotDirect::kNoFilterChain:
      return "no filter chain takes it, and the proxy says so in its log";
    case NotDirect::kUnlogged:
      return "the filter chain ends it without a log line";
    case NotDirect::kAcceptsProxyProtocol:
      return "the listener expects a PROXY header, which only the proxy takes off";
    case NotDirect::kIdleTimeout:
      return "an idleTimeout is set, which only the proxy keeps here";
    case NotDirect::kMaxDuration:
      return "a maxConnectionDuration is set, which only the proxy keeps here";
    case NotDirect::kNoCluster:
      return "the route leads to a cluster that does not exist, and the proxy says so in its log";
    case NotDirect::kSendsProxyProtocol:
      return "the upstream expects a PROXY header, which the proxy sends";
    case NotDirect::kKeepalive:
      return "tcpKeepalive is set, for the proxy's own socket";
    case NotDirect::kBindSource:
      return "the cluster is dialled from an address of its own";
    case NotDirect::kUnixEndpoint:
      return "an endpoint is a Unix socket";
    case NotDirect::kOwnEndpoint:
      return "an endpoint is the pod itself, to which the proxy delivers";
    case NotDirect::kOtherPort:
      return "the address stays and the port is replaced (targetPort)";
    case NotDirect::kOtherFamily:
      return "an endpoint is of the other IP family, which the application's socket cannot reach";
    case NotDirect::kNamesPending:
      return "its names are not resolved yet";
    case NotDirect::kSourceUnknown:
      return "it is hashed by the source address, and the pod has none or several of this IP family";
    case NotDirect::kTooMany:
      return "it has more clusters or hosts than a decision in the kernel holds";
    case NotDirect::kMovedInbound:
      return "it is delivered to another address or port than was dialled";
    case NotDirect::kMaxConnections:
      return "maxConnections is set, which only who accepts can keep";
  }
  return "";
}

std::optional<NotDirect> not_direct(const Snapshot& snapshot, const SocketAddress& destination,
                                    const DirectTerms& terms) {
  if (snapshot.virtual_outbound == nullptr) return NotDirect::kNotCaptured;
  if (destination.ip.is_loopback() || destination.ip.is_any()) return NotDirect::kLoopback;
  if (!captured(destination, terms)) return NotDirect::kNotCaptured;
  if (is_capture_port(snapshot, destination.port, terms)) return NotDirect::kCapturePort;
  if (contains(snapshot.self_ips, destination.ip)) return NotDirect::kOwnAddress;
  return std::nullopt;
}

std::optional<NotDirect> not_direct(const Listener& listener, const FilterChain& chain,
                                    const DirectTerms& terms) {
  if (listener.bind_to_port) return NotDirect::kBoundByProxy;
  if (listener.accept_proxy_protocol) return NotDirect::kAcceptsProxyProtocol;
  if (!chain.log) return NotDirect::kUnlogged;
  return times_of(chain.route, terms);
}

std::optional<NotDirect> not_direct(const Snapshot& snapshot, const Cluster* cluster, bool ipv6,
                                    bool hash_source_ip) {
  if (cluster == nullptr) return NotDirect::kNoCluster;
  if (cluster->proxy_protocol != ProxyProtocol::kNone) return NotDirect::kSendsProxyProtocol;
  if (cluster->keepalive) return NotDirect::kKeepalive;
  if (cluster->bind_source_v4 || cluster->bind_source_v6) return NotDirect::kBindSource;
  if (cluster->type == ClusterType::kOriginalDst)
    return cluster->original_dst_port ? std::optional(NotDirect::kOtherPort) : std::nullopt;
  if (hash_source_ip && hashes(cluster->lb) && !source_address(snapshot, ipv6))
    return NotDirect::kSourceUnknown;
  return endpoints_of(snapshot, *cluster, ipv6);
}

std::optional<NotDirect> not_direct(const Snapshot& snapshot, const EndpointAddress& endpoint, bool ipv6) {
  if (std::holds_alternative<UnixPath>(endpoint)) return NotDirect::kUnixEndpoint;
  const auto* address = std::get_if<SocketAddress>(&endpoint);
  if (address == nullptr) return std::nullopt;
  if (address->ip.is_v6() != ipv6) return NotDirect::kOtherFamily;
  if (address->ip.is_loopback() || address->ip.is_any() || contains(snapshot.self_ips, address->ip))
    return NotDirect::kOwnEndpoint;
  return std::nullopt;
}

bool hashes(LbPolicy policy) { return policy == LbPolicy::kRingHash || policy == LbPolicy::kMaglev; }

std::optional<IpAddress> source_address(const Snapshot& snapshot, bool ipv6) {
  std::optional<IpAddress> only;
  for (const IpAddress& ip : snapshot.self_ips) {
    if (ip.is_v6() != ipv6) continue;
    if (only && *only != ip) return std::nullopt;
    only = ip;
  }
  return only;
}

std::optional<NotDirect> not_direct(const Snapshot& snapshot, const ConnectionInfo& connection,
                                    const Decision& decision, const DirectTerms& terms) {
  if (connection.bound != nullptr) return NotDirect::kBoundByProxy;
  if (connection.direction == Direction::kInbound)
    return inbound_not_direct(snapshot, connection.destination.port, terms);
  if (const auto reason = not_direct(snapshot, connection.destination, terms)) return reason;
  // What was peeked tells what the proxy did; a connect() has nothing to peek at.
  ConnectionInfo blind = connection;
  blind.hello.reset();
  const bool needs_bytes =
      decision.needs_inspection || (connection.hello && match(snapshot, blind).needs_inspection);
  if (needs_bytes) return NotDirect::kFirstBytes;
  if (decision.listener == nullptr || decision.chain == nullptr) return NotDirect::kNoFilterChain;
  if (const auto reason = not_direct(*decision.listener, *decision.chain, terms)) return reason;

  const Route& route = decision.chain->route;
  const bool alone = route.clusters.size() == 1;
  const bool weighted = std::any_of(route.clusters.begin(), route.clusters.end(),
                                    [](const WeightedCluster& part) { return part.weight > 0; });
  for (const WeightedCluster& part : route.clusters) {
    if (!alone && weighted && part.weight == 0) continue;
    if (const auto reason = not_direct(snapshot, snapshot.find_cluster(part.cluster),
                                       connection.destination.ip.is_v6(), route.hash_source_ip))
      return reason;
    if (!weighted) break;  // the first takes everything
  }
  return std::nullopt;
}

std::optional<NotDirect> inbound_not_direct(const Snapshot& snapshot, uint16_t port,
                                            const DirectTerms& terms) {
  if (snapshot.virtual_inbound == nullptr) return NotDirect::kNotCaptured;
  if (is_capture_port(snapshot, port, terms)) return NotDirect::kCapturePort;
  std::vector<IpAddress> addresses = snapshot.self_ips;
  // Whatever the address is: of either family there is only the port to tell connections apart.
  if (addresses.empty()) addresses = {IpAddress::any(false), IpAddress::any(true)};
  for (const IpAddress& ip : addresses) {
    ConnectionInfo connection;
    connection.direction = Direction::kInbound;
    connection.destination = {ip, port};
    const Decision decision = match(snapshot, connection);
    if (decision.needs_inspection) return NotDirect::kFirstBytes;
    if (decision.chain == nullptr) return NotDirect::kNoFilterChain;
    if (const auto reason = not_direct(*decision.listener, *decision.chain, terms)) return reason;
    for (const WeightedCluster& part : decision.chain->route.clusters) {
      const Cluster* cluster = snapshot.find_cluster(part.cluster);
      if (cluster == nullptr) return NotDirect::kNoCluster;
      if (cluster->type != ClusterType::kOriginalDst || cluster->original_dst_port.value_or(port) != port)
        return NotDirect::kMovedInbound;
      if (cluster->proxy_protocol != ProxyProtocol::kNone) return NotDirect::kSendsProxyProtocol;
      if (cluster->keepalive) return NotDirect::kKeepalive;
      if (cluster->max_connections) return NotDirect::kMaxConnections;
      // bind_source is how the proxy's delivery is told from the pod calling itself: nobody's wish.
    }
  }
  return std::nullopt;
}

}  // namespace sockmesh::model
