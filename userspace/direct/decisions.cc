#include "direct/decisions.h"

#include <algorithm>

#include "upstream/balancer.h"

namespace sockmesh::direct {

using model::NotDirect;

Decided decide(const Tables& tables, const SocketAddress& destination) {
  const Verdict verdict = lookup(tables.destinations, destination);
  if (verdict.intercept) return {verdict.intercept, nullptr};
  const auto route = tables.routes.find(verdict.route);
  if (route == tables.routes.end()) return {NotDirect::kNotCaptured, nullptr};
  return {route->second->intercept, route->second};
}

Tables Decisions::make(const model::SnapshotPtr& snapshot, MonotonicTime now,
                       const std::optional<RememberedNumbers>& remembered) {
  // Kept until the end: what is known of its listeners is known by their addresses.
  const model::SnapshotPtr before = std::exchange(snapshot_, snapshot);
  now_ = now;
  update(tables_.destinations, before.get(), *snapshot, terms_, route_numbers_);
  for (const uint32_t number : route_numbers_.end_round()) {
    const auto at = routes_.find(number);
    let_go(at->second.clusters);
    routes_.erase(at);
    tables_.routes.erase(tables_.routes.find(number));
  }
  const Names changed = refresh_clusters();
  route_numbers_.for_each([&](const NumberedRoute& route) { refresh_route(route, changed); });
  drop_unused_clusters();
  ++generation_;
  if (remembered) {
    cluster_numbers_.end_generation(generation_, {remembered->since, remembered->clusters});
    live_numbers_.end_generation(generation_, {remembered->since, remembered->live});
  } else {
    cluster_numbers_.end_generation(generation_);
    live_numbers_.end_generation(generation_);
  }
  return tables_;
}

std::vector<NumberedRoute> Decisions::routes() const {
  std::vector<NumberedRoute> all;
  route_numbers_.for_each([&](const NumberedRoute& route) { all.push_back(route); });
  return all;
}

const Text& Decisions::cluster_name(uint32_t number) const {
  static const Text kNone;
  const auto found = cluster_names_.find(number);
  return found == cluster_names_.end() ? kNone : found->second;
}

bool Decisions::is_stale(const Known& known, MonotonicTime now) const {
  return now >= known.valid_until || known.health_version != known.state->health_version() ||
         (upstream::is_dns(*known.cluster) && known.names_version != names_.version());
}

bool Decisions::stale(MonotonicTime now) const {
  return std::any_of(clusters_.begin(), clusters_.end(),
                     [&](const auto& one) { return is_stale(one.second, now); });
}

// Returns the names of those whose routes have to be looked at again.
Decisions::Names Decisions::refresh_clusters() {
  Names changed;
  valid_until_ = MonotonicTime::max();
  for (auto& [key, known] : clusters_) {
    const auto found = snapshot_->clusters.find(key.name);
    if (found == snapshot_->clusters.end()) {
      changed.emplace(key.name, true);
      continue;
    }
    if (known.cluster != found->second || known.own != snapshot_->self_ips || is_stale(known, now_)) {
      const auto intercept = known.intercept;
      // A route that hashes the source asks for another variant then.
      const bool other_variant = hashes(known.cluster->lb) != hashes(found->second->lb);
      refresh(key, found->second, known);
      if (other_variant || intercept != known.intercept) changed.emplace(key.name, true);
    }
    valid_until_ = std::min(valid_until_, known.valid_until);
  }
  return changed;
}

void Decisions::refresh(const ClusterKey& key, const model::ClusterPtr& at, Known& known) {
  const model::Cluster& cluster = *at;
  if (known.cluster != at) known.state = registry_.get(key.name);
  known.cluster = at;
  known.names_version = names_.version();
  known.health_version = known.state->health_version();
  known.own = snapshot_->self_ips;
  const upstream::Expanded expanded = upstream::expand(cluster, *known.state, names_, now_);
  known.valid_until = direct::valid_until(cluster, expanded.hosts, now_);
  for (const bool ipv6 : {false, true})
    known.intercept[ipv6 ? 1 : 0] = not_direct(*snapshot_, &cluster, ipv6, key.by_source);

  ClusterValue value;
  const bool only_sockets = std::all_of(expanded.hosts.begin(), expanded.hosts.end(), [](const auto& host) {
    return std::holds_alternative<SocketAddress>(host.address);
  });
  if (only_sockets)
    value = cluster_value(cluster, expanded.hosts,
                          key.by_source ? source_address(*snapshot_, key.ipv6) : std::nullopt, now_);
  for (const bool ipv6 : {false, true}) {
    auto& intercept = known.intercept[ipv6 ? 1 : 0];
    // What names resolved to.
    for (const HostValue& host : value.hosts)
      if (!intercept) intercept = not_direct(*snapshot_, model::EndpointAddress(host.address), ipv6);
    if (!intercept && value.hosts.empty() && expanded.names_pending) intercept = NotDirect::kNamesPending;
    if (!intercept && value.hosts.size() > kMaxHosts) intercept = NotDirect::kTooMany;
  }

  const std::vector<LiveKey> before = std::exchange(known.held, {});
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

  const bool never = known.intercept[0] && known.intercept[1];
  const auto entry = tables_.clusters.find(known.number);
  if (!never) {
    tables_.clusters.insert_or_assign(known.number, known.value);
  } else if (entry != tables_.clusters.end()) {
    tables_.clusters.erase(entry);
  }
}

void Decisions::refresh_route(const NumberedRoute& route, const Names& changed) {
  const auto [at, fresh] = routes_.emplace(route.number, Led());
  Led& led = at->second;
  const auto& parts = route.chain->route.clusters;
  const bool same = !fresh && led.chain == route.chain && led.value->intercept != NotDirect::kNoCluster &&
                    (changed.empty() || std::none_of(parts.begin(), parts.end(), [&](const auto& part) {
                       return changed.contains(part.cluster);
                     }));
  if (same) return;
  led.chain = route.chain;
  std::vector<ClusterKey> clusters;
  RouteValue value = route_value(route, clusters);
  let_go(std::exchange(led.clusters, std::move(clusters)));
  if (led.value && *led.value == value) return;
  led.value = std::make_shared<const RouteValue>(std::move(value));
  tables_.routes.insert_or_assign(route.number, led.value);
}

RouteValue Decisions::route_value(const NumberedRoute& route, std::vector<ClusterKey>& clusters) {
  const model::Route& from = route.chain->route;
  RouteValue value;
  uint64_t sum = 0;
  const auto add = [&](const model::WeightedCluster& part, uint32_t weight) -> std::optional<NotDirect> {
    const Known* cluster = use(part.cluster, route, clusters);
    if (cluster == nullptr) return NotDirect::kNoCluster;
    if (const auto reason = cluster->intercept[route.ipv6 ? 1 : 0]) return reason;
    sum += weight;
    if (sum > UINT32_MAX || value.parts.size() == kMaxParts) return NotDirect::kTooMany;
    value.parts.push_back({cluster->number, static_cast<uint32_t>(sum)});
    return std::nullopt;
  };
  // As draw(): one alone takes everything, and the first when nobody has a weight.
  const bool weighted = from.clusters.size() > 1 &&
                        std::any_of(from.clusters.begin(), from.clusters.end(),
                                    [](const model::WeightedCluster& part) { return part.weight > 0; });
  if (!weighted) {
    value.intercept = add(from.clusters.front(), 1);
  } else {
    for (const model::WeightedCluster& part : from.clusters)
      if (part.weight > 0 && !value.intercept) value.intercept = add(part, part.weight);
  }
  if (value.intercept) {
    value.parts.clear();
    return value;
  }
  if (terms_.ends_flows) {
    const Duration idle = from.idle_timeout.value_or(std::chrono::hours(1));  // Envoy's, where none is set
    if (idle.count() > 0) value.idle_timeout = idle;
    if (from.max_connection_duration && from.max_connection_duration->count() > 0)
      value.max_connection_duration = from.max_connection_duration;
  }
  return value;
}

const Decisions::Known* Decisions::use(const Text& name, const NumberedRoute& route,
                                       std::vector<ClusterKey>& clusters) {
  const auto found = snapshot_->clusters.find(name);
  if (found == snapshot_->clusters.end()) return nullptr;
  const bool by_source = route.chain->route.hash_source_ip && hashes(found->second->lb);
  const ClusterKey key{name, by_source, by_source && route.ipv6};
  const auto [at, fresh] = clusters_.emplace(key, Known());
  Known& known = at->second;
  if (fresh) {
    known.number = cluster_numbers_.hold(key);
    cluster_names_.insert_or_assign(known.number, name);
    refresh(key, found->second, known);
    valid_until_ = std::min(valid_until_, known.valid_until);
  }
  ++known.users;
  clusters.push_back(key);
  return &known;
}

void Decisions::let_go(const std::vector<ClusterKey>& clusters) {
  for (const ClusterKey& key : clusters) --clusters_.find(key)->second.users;
}

void Decisions::drop_unused_clusters() {
  std::vector<ClusterKey> unused;
  for (const auto& [key, known] : clusters_)
    if (known.users == 0) unused.push_back(key);
  for (const ClusterKey& key : unused) {
    const auto at = clusters_.find(key);
    for (const LiveKey& live : at->second.held) live_numbers_.let_go(live);
    if (const auto entry = tables_.clusters.find(at->second.number); entry != tables_.clusters.end())
      tables_.clusters.erase(entry);
    cluster_numbers_.let_go(key);
    clusters_.erase(at);
  }
}

}  // namespace sockmesh::direct
