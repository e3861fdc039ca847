#include "bpf/direct_table.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <numeric>

namespace sockmesh::bpf {

namespace {

constexpr std::array kRefusals{ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, EPERM, EACCES, ECONNRESET};
constexpr std::array<uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr uint32_t kMappedBits = 96;

void put_ip(const IpAddress& from, uint8_t (&to)[16]) {
  if (from.is_v6()) {
    std::memcpy(to, from.bytes().data(), sizeof to);
    return;
  }
  std::memcpy(to, kMapped.data(), kMapped.size());
  std::memcpy(to + kMapped.size(), from.bytes().data(), 4);
}

IpAddress get_ip(const uint8_t (&from)[16]) {
  in6_addr address;
  std::memcpy(&address, from, sizeof address);
  return IpAddress::v6(address);
}

template <typename Key, typename Value>
void note_difference(const std::map<Key, Value>& have, const std::map<Key, Value>& want,
                     std::map<Key, std::optional<Value>>& change) {
  for (const auto& [key, value] : want)
    if (const auto found = have.find(key); found == have.end() || found->second != value) change[key] = value;
  for (const auto& [key, value] : have)
    if (!want.contains(key)) change[key] = std::nullopt;
}

// The sum has to fit the kernel's counters.
template <typename Weighted>
Result<void> check_weights(std::string_view what, const std::vector<Weighted>& items) {
  uint64_t total = 0;
  for (const Weighted& item : items) {
    if (item.weight == 0) return fail("{}: weight 0: expected 1 or more", what);
    total += item.weight;
  }
  if (total > UINT32_MAX)
    return fail("{}: weights of {} together: expected {} at most", what, total, UINT32_MAX);
  return {};
}

Result<void> check_verdict(std::string_view where, const DirectVerdict& verdict) {
  if (verdict.kind == DIRECT_REFUSE && !is_plain_refusal(verdict.error))
    return fail(
        "{}: refused with errno {}: expected ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, "
        "ECONNRESET, EPERM or EACCES",
        where, verdict.error);
  return {};
}

Result<void> check_cluster(uint32_t number, const DirectCluster& cluster) {
  const std::string what = fmt::format("cluster {}", number);
  if (cluster.hosts.size() > DIRECT_MAX_HOSTS)
    return fail("{}: {} hosts: expected {} at most", what, cluster.hosts.size(), DIRECT_MAX_HOSTS);
  if (cluster.balancing == DIRECT_ORIGINAL && !cluster.hosts.empty())
    return fail("{}: {} hosts: expected none, since the address stays", what, cluster.hosts.size());
  if (cluster.balancing == DIRECT_FIXED && !cluster.hosts.empty() && cluster.start >= cluster.hosts.size())
    return fail("{}: fixed host {}: expected less than {}", what, cluster.start, cluster.hosts.size());
  if (cluster.max_connections && cluster.live == DIRECT_NONE)
    return fail("{}: max_connections without a live record: expected one to count in", what);
  if (cluster.connect_timeout.count() < 0 || cluster.connect_timeout.count() > UINT32_MAX)
    return fail("{}: connect timeout {} ms: expected 0 to {}", what, cluster.connect_timeout.count(),
                UINT32_MAX);
  if (cluster.max_connections == DIRECT_NONE)
    return fail("{}: max_connections {}: expected less", what, DIRECT_NONE);
  return check_weights(what, cluster.hosts);
}

bool equal_weights(const std::vector<DirectHost>& hosts) {
  return std::ranges::all_of(hosts, [&](const DirectHost& host) { return host.weight == hosts[0].weight; });
}

}  // namespace

bool is_plain_refusal(int error) { return std::ranges::find(kRefusals, error) != kRefusals.end(); }

bool DirectChange::empty() const {
  return destinations.empty() && prefixes.empty() && routes.empty() && clusters.empty();
}

DirectChange difference(const DirectTable& have, const DirectTable& want) {
  DirectChange change;
  note_difference(have.destinations, want.destinations, change.destinations);
  note_difference(have.prefixes, want.prefixes, change.prefixes);
  note_difference(have.routes, want.routes, change.routes);
  note_difference(have.clusters, want.clusters, change.clusters);
  return change;
}

Result<void> check(const DirectChange& change) {
  for (const auto& [address, verdict] : change.destinations)
    if (verdict) SOCKMESH_CHECK(check_verdict(address.to_string(), *verdict));
  for (const auto& [key, verdict] : change.prefixes)
    if (verdict) SOCKMESH_CHECK(check_verdict(key.prefix.to_string(), *verdict));
  for (const auto& [number, route] : change.routes) {
    if (!route) continue;
    const std::string what = fmt::format("route {}", number);
    if (route->choices.empty() || route->choices.size() > DIRECT_MAX_CHOICES)
      return fail("{}: {} clusters: expected 1 to {}", what, route->choices.size(), DIRECT_MAX_CHOICES);
    SOCKMESH_CHECK(check_weights(what, route->choices));
  }
  for (const auto& [number, cluster] : change.clusters)
    if (cluster) SOCKMESH_CHECK(check_cluster(number, *cluster));
  return {};
}

uint32_t round_robin_stride(uint32_t total) {
  if (total < 3) return 1;
  // The golden section spreads best; the next number without a common divisor is never far.
  auto stride = static_cast<uint32_t>(total * 0.381966);
  if (stride == 0) stride = 1;
  while (std::gcd(stride, total) != 1) ++stride;
  return stride;
}

direct_address to_kernel(const SocketAddress& address) {
  direct_address made{};
  put_ip(address.ip, made.ip);
  made.port = htons(address.port);
  return made;
}

direct_destination to_kernel(const SocketAddress& address, uint32_t side) {
  direct_destination made{};
  put_ip(address.ip, made.ip);
  made.port = htons(address.port);
  made.side = static_cast<__u8>(side);
  return made;
}

direct_prefix to_kernel(const DirectPrefix& key, uint32_t side) {
  direct_prefix made{};
  const bool v4 = key.prefix.address.is_v4();
  made.bits = DIRECT_PREFIX_BITS + key.prefix.length + (v4 ? kMappedBits : 0);
  made.side = static_cast<__u8>(side);
  made.family = v4 ? 4 : 6;
  made.port = htons(key.port);
  put_ip(key.prefix.address, made.ip);
  return made;
}

direct_verdict to_kernel(const DirectVerdict& verdict) {
  return {.kind = static_cast<__u16>(verdict.kind),
          .error = static_cast<__u16>(verdict.error),
          .route = verdict.route};
}

direct_route to_kernel(const DirectRoute& route) {
  direct_route made{};
  for (const DirectChoice& choice : route.choices) {
    made.total_weight += choice.weight;
    made.choice[made.choices++] = {choice.cluster, made.total_weight};
  }
  return made;
}

direct_cluster to_kernel(const DirectCluster& cluster) {
  direct_cluster made{};
  made.balancing = static_cast<__u8>(cluster.balancing);
  made.hosts = static_cast<__u32>(cluster.hosts.size());
  for (const DirectHost& host : cluster.hosts) made.total_weight += host.weight;
  const bool equal = equal_weights(cluster.hosts);
  made.flags = static_cast<__u8>((equal ? DIRECT_EQUAL_WEIGHTS : 0) |
                                 (cluster.refuse_when_full ? DIRECT_REFUSE_WHEN_FULL : 0));
  made.stride = equal ? 1 : round_robin_stride(made.total_weight);
  made.start = cluster.start;
  made.max_connections = cluster.max_connections.value_or(DIRECT_NONE);
  made.connect_timeout_ms = static_cast<__u32>(cluster.connect_timeout.count());
  made.live = cluster.live;
  return made;
}

std::vector<direct_host> hosts_to_kernel(const DirectCluster& cluster) {
  std::vector<direct_host> made;
  made.reserve(cluster.hosts.size());
  uint32_t end = 0;
  for (const DirectHost& host : cluster.hosts) {
    end += host.weight;
    made.push_back({to_kernel(host.address), host.weight, end, host.live});
  }
  return made;
}

SocketAddress from_kernel(const direct_address& address) { return {get_ip(address.ip), ntohs(address.port)}; }

SocketAddress from_kernel(const direct_destination& destination) {
  return {get_ip(destination.ip), ntohs(destination.port)};
}

DirectPrefix from_kernel(const direct_prefix& key) {
  const uint32_t bits = key.bits - DIRECT_PREFIX_BITS - (key.family == 4 ? kMappedBits : 0);
  return {{get_ip(key.ip), static_cast<uint8_t>(bits)}, ntohs(key.port)};
}

DirectVerdict from_kernel(const direct_verdict& verdict) {
  return {static_cast<direct_verdict_kind>(verdict.kind), verdict.route, verdict.error};
}

DirectRoute from_kernel(const direct_route& route) {
  DirectRoute made;
  uint32_t before = 0;
  for (uint32_t i = 0; i < std::min(route.choices, DIRECT_MAX_CHOICES); ++i) {
    made.choices.push_back({route.choice[i].cluster, route.choice[i].weight_end - before});
    before = route.choice[i].weight_end;
  }
  return made;
}

DirectCluster from_kernel(const direct_cluster& cluster, const std::vector<direct_host>& hosts) {
  DirectCluster made;
  made.balancing = static_cast<direct_balancing>(cluster.balancing);
  for (const direct_host& host : hosts)
    made.hosts.push_back({from_kernel(host.address), host.weight, host.live});
  made.start = cluster.start;
  made.connect_timeout = std::chrono::milliseconds(cluster.connect_timeout_ms);
  if (cluster.max_connections != DIRECT_NONE) made.max_connections = cluster.max_connections;
  made.refuse_when_full = (cluster.flags & DIRECT_REFUSE_WHEN_FULL) != 0;
  made.live = cluster.live;
  return made;
}

}  // namespace sockmesh::bpf
