#include "direct/cluster_value.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/direct.h"
#include "upstream/host_groups.h"
#include "upstream/picker.h"

namespace sockmesh::direct {

namespace {

using model::LbPolicy;
using upstream::Host;

// Where shares are no whole numbers: one in so many is precise enough, and fits 32 bits however many hosts.
constexpr double kWhole = 1 << 24;

// The shares of a group's hosts among each other, as its picker chooses; of any sum.
std::vector<double> shares_in(const model::Cluster& cluster, const upstream::HostGroup& group,
                              const std::optional<IpAddress>& source, MonotonicTime now) {
  std::vector<double> shares(group.hosts.size());
  if (hashes(cluster.lb)) {
    const auto table = make_hash_table(cluster, group.hosts);
    if (!source) return table->shares(group.hosts.size());
    shares[table->at(upstream::hash64(source->to_string()))] = 1;
    return shares;
  }
  for (size_t i = 0; i < shares.size(); ++i)
    shares[i] = cluster.lb == LbPolicy::kRandom ? 1 : warm_weight(cluster, *group.hosts[i], now);
  return shares;
}

struct Share {
  const Host* host;
  double share;
};

void add(std::vector<Share>& shares, const Host* host, double share) {
  // A host can be in several localities: "r1" and "r1/z1".
  for (Share& known : shares)
    if (known.host == host) {
      known.share += share;
      return;
    }
  shares.push_back({host, share});
}

bool whole_numbers(const std::vector<Share>& shares) {
  double sum = 0;
  for (const Share& one : shares) {
    if (one.share != std::floor(one.share)) return false;
    sum += one.share;
  }
  return sum < 4e9;
}

// One group keeps its weights as they are written; several are mixed.
std::vector<Share> all_shares(const model::Cluster& cluster, const upstream::HostLevels& made,
                              const std::optional<IpAddress>& source, MonotonicTime now) {
  size_t groups = 0;
  for (const auto& level : made.levels) groups += level.groups.size();
  std::vector<Share> all;
  for (const auto& level : made.levels)
    for (const auto& group : level.groups) {
      const std::vector<double> shares = shares_in(cluster, group, source, now);
      const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
      const double of_group = groups == 1 ? 1 : level.percent / 100.0 * group.weight / level.weight / sum;
      for (size_t i = 0; i < shares.size(); ++i) {
        if (shares[i] == 0) continue;
        if (groups == 1) {
          all.push_back({group.hosts[i], shares[i]});
        } else {
          add(all, group.hosts[i], shares[i] * of_group);
        }
      }
    }
  if (whole_numbers(all)) return all;
  double sum = 0;
  for (const Share& one : all) sum += one.share;
  for (Share& one : all) one.share = std::max(1.0, std::round(one.share / sum * kWhole));
  return all;
}

}  // namespace

const char* to_string(Balancing balancing) {
  switch (balancing) {
    case Balancing::kRandom:
      return "random";
    case Balancing::kRoundRobin:
      return "round_robin";
    case Balancing::kLeastRequest:
      return "least_request";
    case Balancing::kFixed:
      return "fixed";
    case Balancing::kOriginal:
      return "original";
  }
  return "";
}

ClusterValue cluster_value(const model::Cluster& cluster, const upstream::HostList& hosts,
                           const std::optional<IpAddress>& source, MonotonicTime now) {
  ClusterValue value;
  value.max_connections = cluster.max_connections;
  value.connect_timeout = cluster.connect_timeout;
  if (cluster.type == model::ClusterType::kOriginalDst) {
    value.balancing = Balancing::kOriginal;
    return value;
  }
  uint32_t divisor = 0;
  for (const Share& one : all_shares(cluster, host_levels(cluster, hosts, now), source, now)) {
    const auto weight = static_cast<uint32_t>(one.share);
    value.hosts.push_back({std::get<SocketAddress>(one.host->address), weight, 0});
    divisor = std::gcd(divisor, weight);
  }
  for (HostValue& host : value.hosts) host.weight /= divisor;
  if (value.hosts.size() == 1) {
    value.balancing = Balancing::kFixed;
  } else if (cluster.lb == LbPolicy::kRandom || hashes(cluster.lb)) {
    value.balancing = Balancing::kRandom;
  } else if (cluster.lb == LbPolicy::kRoundRobin) {
    value.balancing = Balancing::kRoundRobin;
  } else {
    value.balancing = Balancing::kLeastRequest;
  }
  return value;
}

MonotonicTime valid_until(const model::Cluster& cluster, const upstream::HostList& hosts, MonotonicTime now) {
  MonotonicTime until = MonotonicTime::max();
  for (const Host& host : hosts) {
    if (host.state->ejected(now)) until = std::min(until, MonotonicTime(Duration(host.state->ejected_until)));
    if (cluster.slow_start && now - host.state->first_seen < cluster.slow_start->duration)
      until = std::min(until, now + kWarmUpStep);
  }
  return until;
}

}  // namespace sockmesh::direct
