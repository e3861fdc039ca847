#include "app_lanes/kernel_table.h"

#include <algorithm>
#include <chrono>
#include <limits>

namespace sockmesh::app_lanes {

namespace {

bpf::DirectVerdict kernel_verdict(const direct::Verdict& verdict) {
  if (verdict.intercept) return {};
  return {DIRECT_ROUTE, verdict.route, 0};
}

bpf::DirectPrefix kernel_prefix(const direct::PortPrefix& prefix) { return {prefix.prefix, prefix.port}; }

std::optional<bpf::DirectRoute> kernel_route(const direct::RouteValue& value) {
  if (value.intercept) return std::nullopt;
  bpf::DirectRoute route;
  uint32_t before = 0;
  for (const direct::RoutePart& part : value.parts)
    route.choices.push_back({part.cluster, part.weight_end - std::exchange(before, part.weight_end)});
  return route;
}

direct_balancing kernel_balancing(direct::Balancing balancing) {
  switch (balancing) {
    case direct::Balancing::kRandom:
      return DIRECT_RANDOM;
    case direct::Balancing::kRoundRobin:
      return DIRECT_ROUND_ROBIN;
    case direct::Balancing::kLeastRequest:
      return DIRECT_LEAST_REQUEST;
    case direct::Balancing::kFixed:
      return DIRECT_FIXED;
    case direct::Balancing::kOriginal:
      break;
  }
  return DIRECT_ORIGINAL;
}

bpf::DirectCluster kernel_cluster(const direct::ClusterValue& value, uint32_t first_turn) {
  bpf::DirectCluster cluster;
  cluster.balancing = kernel_balancing(value.balancing);
  uint32_t total = 0;
  for (const direct::HostValue& host : value.hosts) {
    cluster.hosts.push_back({host.address, host.weight, host.live});
    total += host.weight;
  }
  if (value.balancing == direct::Balancing::kRoundRobin) cluster.start = first_turn % total;
  // More than the kernel can count is no bound; Istio's default is 2^32 - 1.
  if (value.max_connections && *value.max_connections <= std::numeric_limits<int32_t>::max())
    cluster.max_connections = value.max_connections;
  cluster.live = value.live;
  // None is so long in earnest, and no timer of the kernel.
  cluster.connect_timeout = std::min(std::chrono::ceil<std::chrono::milliseconds>(value.connect_timeout),
                                     std::chrono::milliseconds(std::chrono::hours(24)));
  return cluster;
}

// Each entry of the one kind as the other's, in a map of the latter.
template <typename Into, typename From, typename KeyOf, typename ValueOf>
void put(Into& into, const From& from, const KeyOf& key_of, const ValueOf& value_of) {
  for (const auto& [key, value] : from) into.insert_or_assign(key_of(key), value_of(value));
}

const auto kSame = [](const auto& key) { return key; };

}  // namespace

bpf::DirectTable kernel_table(const direct::Tables& tables, uint32_t first_turn) {
  bpf::DirectTable table;
  put(table.destinations, tables.destinations.exact, kSame, kernel_verdict);
  put(table.prefixes, tables.destinations.prefixes, kernel_prefix, kernel_verdict);
  for (const auto& [number, value] : tables.routes)
    if (auto route = kernel_route(*value)) table.routes.emplace(number, std::move(*route));
  put(table.clusters, tables.clusters, kSame,
      [&](const direct::ClusterValuePtr& value) { return kernel_cluster(*value, first_turn); });
  return table;
}

bpf::DirectChange kernel_change(const direct::Delta& delta, uint32_t first_turn) {
  bpf::DirectChange change;
  const auto all_of = [](auto& into, const auto& changes, const auto& key_of, const auto& value_of) {
    for (const auto& key : changes.removed) into.insert_or_assign(key_of(key), std::nullopt);
    put(into, changes.inserted, key_of, value_of);
    put(into, changes.replaced, key_of, value_of);
  };
  all_of(change.destinations, delta.exact, kSame, kernel_verdict);
  all_of(change.prefixes, delta.prefixes, kernel_prefix, kernel_verdict);
  all_of(change.routes, delta.routes, kSame,
         [](const direct::RouteValuePtr& value) { return kernel_route(*value); });
  all_of(change.clusters, delta.clusters, kSame,
         [&](const direct::ClusterValuePtr& value) { return kernel_cluster(*value, first_turn); });
  return change;
}

}  // namespace sockmesh::app_lanes
