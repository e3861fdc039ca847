#include "direct/decisions.h"

#include <algorithm>

#include "upstream/balancer.h"

namespace sockmesh::direct {

namespace {

using model::NotDirect;

bool hashes(const model::Cluster& cluster) {
  return cluster.lb == model::LbPolicy::kRingHash || cluster.lb == model::LbPolicy::kMaglev;
}

bool is_dns(const model::Cluster& cluster) {
  return cluster.type == model::ClusterType::kStrictDns || cluster.type == model::ClusterType::kLogicalDns;
}

}  // namespace

Decided decide(const Tables& tables, const SocketAddress& destination) {
  const Verdict verdict = lookup(tables.destinations, destination);
  if (verdict.intercept) return {verdict.intercept, nullptr};
  const auto route = tables.routes.find(verdict.route);
  if (route == tables.routes.end()) return {NotDirect::kNotCaptured, nullptr};
  return {route->second->intercept, route->second};
}

Tables Decisions::make(const model::SnapshotPtr& snapshot, MonotonicTime now) {
  snapshot_ = snapshot;
  now_ = now;
  valid_until_ = MonotonicTime::max();
  ++round_;
  Tables tables;
  tables.destinations = make_destinations(*snapshot, terms_, route_numbers_);
  numbered_ = route_numbers_.routes();
  tables.routes.reserve(numbered_.size());
  tables.clusters.reserve(numbered_.size());
  for (const NumberedRoute& route : numbered_)
    tables.routes.emplace(route.number, route_value(route, tables));

  std::vector<ClusterKey> gone;
  for (const auto& [key, known] : clusters_)
    if (known.round != round_) gone.push_back(key);
  for (const ClusterKey& key : gone) {
    const auto at = clusters_.find(key);
    for (const LiveKey& live : at->second.held) live_numbers_.let_go(live);
    cluster_numbers_.let_go(key);
    clusters_.erase(at);
  }
  route_numbers_.end_round();
  cluster_numbers_.end_generation();
  live_numbers_.end_generation();
  return tables;
}

RouteValuePtr Decisions::route_value(const NumberedRoute& route, Tables& tables) {
  const model::Route& from = route.chain->route;
  const auto intercepted = [](NotDirect reason) {
    RouteValue value;
    value.intercept = reason;
    return std::make_shared<const RouteValue>(std::move(value));
  };
  RouteValue value;
  uint64_t sum = 0;
  std::vector<std::pair<uint32_t, ClusterValuePtr>> drawn;
  const auto add = [&](const model::WeightedCluster& part, uint32_t weight) -> std::optional<NotDirect> {
    const Known* cluster = known(part.cluster, route);
    if (cluster == nullptr) return NotDirect::kNoCluster;
    if (const auto reason = cluster->intercept[route.ipv6 ? 1 : 0]) return reason;
    sum += weight;
    if (sum > UINT32_MAX || value.parts.size() == kMaxParts) return NotDirect::kTooMany;
    value.parts.push_back({cluster->number, static_cast<uint32_t>(sum)});
    drawn.emplace_back(cluster->number, cluster->value);
    return std::nullopt;
  };
  // As draw(): one alone takes everything, and the first when nobody has a weight.
  const bool weighted = from.clusters.size() > 1 &&
                        std::any_of(from.clusters.begin(), from.clusters.end(),
                                    [](const model::WeightedCluster& part) { return part.weight > 0; });
  if (!weighted) {
    if (const auto reason = add(from.clusters.front(), 1)) return intercepted(*reason);
  } else {
    for (const model::WeightedCluster& part : from.clusters)
      if (part.weight > 0)
        if (const auto reason = add(part, part.weight)) return intercepted(*reason);
  }
  if (terms_.ends_flows) {
    const Duration idle = from.idle_timeout.value_or(std::chrono::hours(1));  // Envoy's, where none is set
    if (idle.count() > 0) value.idle_timeout = idle;
    if (from.max_connection_duration && from.max_connection_duration->count() > 0)
      value.max_connection_duration = from.max_connection_duration;
  }
  for (auto& [number, cluster] : drawn) tables.clusters.emplace(number, std::move(cluster));
  return std::make_shared<const RouteValue>(std::move(value));
}

Decisions::Known* Decisions::known(const Text& name, const NumberedRoute& route) {
  const auto found = snapshot_->clusters.find(name);
  if (found == snapshot_->clusters.end()) return nullptr;
  const model::ClusterPtr& cluster = found->second;
  const bool by_source = route.chain->route.hash_source_ip && hashes(*cluster);
  const ClusterKey key{name, by_source, by_source && route.ipv6};
  const auto [at, fresh] = clusters_.emplace(key, Known());
  Known& known = at->second;
  if (fresh) known.number = cluster_numbers_.hold(key);
  if (known.round == round_) return &known;
  known.round = round_;
  const uint64_t names = is_dns(*cluster) ? names_.version() : 0;
  if (known.cluster != cluster || known.names_version != names || now_ >= known.valid_until ||
      known.health_version != known.state->health_version() || known.own != snapshot_->self_ips) {
    if (known.cluster != cluster) known.state = registry_.get(name);
    known.cluster = cluster;
    known.names_version = names;
    known.health_version = known.state->health_version();
    known.own = snapshot_->self_ips;
    refresh(key, route, known);
  }
  valid_until_ = std::min(valid_until_, known.valid_until);
  return &known;
}

void Decisions::refresh(const ClusterKey& key, const NumberedRoute& route, Known& known) {
  const model::Cluster& cluster = *known.cluster;
  const upstream::Expanded expanded = upstream::expand(cluster, *known.state, names_, now_);
  known.valid_until = direct::valid_until(cluster, expanded.hosts, now_);
  const std::vector<LiveKey> before = std::exchange(known.held, {});
  for (const bool ipv6 : {false, true})
    known.intercept[ipv6 ? 1 : 0] = not_direct(*snapshot_, &cluster, ipv6, key.by_source);

  ClusterValue value;
  const bool only_sockets = std::all_of(expanded.hosts.begin(), expanded.hosts.end(), [](const auto& host) {
    return std::holds_alternative<SocketAddress>(host.address);
  });
  if (only_sockets)
    value = cluster_value(cluster, expanded.hosts,
                          key.by_source ? source_address(*snapshot_, route.ipv6) : std::nullopt, now_);
  for (const bool ipv6 : {false, true}) {
    auto& intercept = known.intercept[ipv6 ? 1 : 0];
    // What names resolved to.
    for (const HostValue& host : value.hosts)
      if (!intercept) intercept = not_direct(*snapshot_, model::EndpointAddress(host.address), ipv6);
    if (!intercept && value.hosts.empty() && expanded.names_pending) intercept = NotDirect::kNamesPending;
    if (!intercept && value.hosts.size() > kMaxHosts) intercept = NotDirect::kTooMany;
  }

  const auto hold = [&](const SocketAddress& host) {
    const LiveKey live{key.name, host};
    known.held.push_back(live);
    return live_numbers_.hold(live);
  };
  value.live = hold(SocketAddress{});
  for (HostValue& host : value.hosts) host.live = hold(host.address);
  for (const LiveKey& live : before) live_numbers_.let_go(live);
  if (!known.value || *known.value != value)
    known.value = std::make_shared<const ClusterValue>(std::move(value));
}

}  // namespace sockmesh::direct
