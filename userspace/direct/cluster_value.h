// A cluster as the kernel needs it: how a host is chosen, and the hosts that may be at this moment, with the
// weights that health, ejection, priority, panic, localities and slow start leave them. Made by the functions
// that the agent's own balancer asks (upstream/host_groups.h, picker.h). Values; pure but for what is read of
// the hosts' atomics.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "model/snapshot.h"
#include "upstream/host.h"

namespace sockmesh::direct {

enum class Balancing : uint8_t {
  kRandom,        // by weight
  kRoundRobin,    // by weight
  kLeastRequest,  // of two random hosts the one with fewer connections for its weight
  kFixed,         // there is one host: of the source address, or the only one
  kOriginal,      // where the application wants to; no hosts
};
const char* to_string(Balancing balancing);

struct HostValue {
  SocketAddress address;
  uint32_t weight = 1;  // never 0; all of a cluster sum to less than 2^32
  uint32_t live = 0;    // number of its count of connections
  bool operator==(const HostValue&) const = default;
};

struct ClusterValue {
  Balancing balancing = Balancing::kRandom;
  std::vector<HostValue> hosts;  // none: nobody can be chosen (UH)
  std::optional<uint32_t> max_connections;
  Duration connect_timeout{};
  uint32_t live = 0;  // number of the cluster's count of connections; variants of a cluster share it
  bool operator==(const ClusterValue&) const = default;
};

// Without the numbers. Hosts have socket addresses. `source`: hosts are chosen by its hash, where the policy
// is a hash; absent: by a random one.
ClusterValue cluster_value(const model::Cluster& cluster, const upstream::HostList& hosts,
                           const std::optional<IpAddress>& source, MonotonicTime now);

// How long the value holds if nobody's health changes.
MonotonicTime valid_until(const model::Cluster& cluster, const upstream::HostList& hosts, MonotonicTime now);

// While a host warms up, its weight is as old as this at most.
inline constexpr Duration kWarmUpStep = std::chrono::seconds(1);

}  // namespace sockmesh::direct
