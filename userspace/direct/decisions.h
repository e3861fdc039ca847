// Decisions: a snapshot, and what is known of hosts at this moment, as tables of plain values from which a
// connection can be led without the agent: destination, route, cluster, host. Made anew for each snapshot,
// and whenever health or names changed; what stayed the same is not computed again. Numbers of routes,
// clusters and counts stay from one to the next (numbers.h). One thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/flat_map.h"
#include "direct/cluster_value.h"
#include "direct/destinations.h"
#include "direct/numbers.h"
#include "direct/route_numbers.h"
#include "model/direct.h"
#include "upstream/cluster_state.h"
#include "upstream/name_cache.h"

namespace sockmesh::direct {

// What a decision in the kernel holds; a route with more is the agent's.
inline constexpr size_t kMaxParts = 8, kMaxHosts = 4096;

struct RoutePart {
  uint32_t cluster = 0;
  uint32_t weight_end = 0;  // its weight and those of the parts before it
  bool operator==(const RoutePart&) const = default;
};

struct RouteValue {
  std::optional<model::NotDirect> intercept;  // at this moment; then there are no parts
  std::vector<RoutePart> parts;               // at least one
  // For the agent to keep where it ends flows (DirectTerms::ends_flows).
  std::optional<Duration> idle_timeout, max_connection_duration;
  bool operator==(const RouteValue&) const = default;
};

using RouteValuePtr = std::shared_ptr<const RouteValue>;
using ClusterValuePtr = std::shared_ptr<const ClusterValue>;

struct Tables {
  Destinations destinations;
  FlatMap<uint32_t, RouteValuePtr> routes;      // by number
  FlatMap<uint32_t, ClusterValuePtr> clusters;  // by number; those of routes that are direct
};

// Both tables asked: why it is not direct, or the route.
struct Decided {
  std::optional<model::NotDirect> intercept;
  RouteValuePtr route;
};
Decided decide(const Tables& tables, const SocketAddress& destination);

// A cluster, as routes see it that hash the source address of one family; or all others.
struct ClusterKey {
  Text name;
  bool by_source = false, ipv6 = false;  // the family is told only by source
  bool operator==(const ClusterKey&) const = default;
};
// A count of connections: of a host in a cluster, or of the cluster.
struct LiveKey {
  Text cluster;
  SocketAddress host;  // port 0: the cluster
  bool operator==(const LiveKey&) const = default;
};

}  // namespace sockmesh::direct

template <>
struct std::hash<sockmesh::direct::ClusterKey> {
  size_t operator()(const sockmesh::direct::ClusterKey& key) const noexcept {
    return key.name.hash() ^ ((key.by_source ? 2u : 0u) + (key.ipv6 ? 1u : 0u));
  }
};
template <>
struct std::hash<sockmesh::direct::LiveKey> {
  SOCKMESH_WRAPS size_t operator()(const sockmesh::direct::LiveKey& key) const noexcept {
    return key.cluster.hash() * 31 + std::hash<sockmesh::SocketAddress>{}(key.host);
  }
};

namespace sockmesh::direct {

// What open flows remember (numbers.h): counts, and clusters.
struct RememberedNumbers {
  uint64_t since = 0;
  std::set<uint32_t> live, clusters;
};

class Decisions {
 public:
  // The pod's, as its workers have them; both outlive this. `inherited`: by flows of an earlier process,
  // whose last generation it was.
  Decisions(upstream::ClusterRegistry& registry, const upstream::NameCache& names, model::DirectTerms terms,
            const RememberedNumbers& inherited = {})
      : registry_(registry),
        names_(names),
        terms_(std::move(terms)),
        cluster_numbers_(inherited.clusters),
        live_numbers_(inherited.live),
        generation_(inherited.since) {}

  // A copy of the tables as they are from now on: what was returned before stays whole. What numbers mean to
  // whoever remembers them, they mean on; by default nobody does.
  Tables make(const model::SnapshotPtr& snapshot, MonotonicTime now,
              const std::optional<RememberedNumbers>& remembered = std::nullopt);
  // Of the last tables: one more each time.
  uint64_t generation() const { return generation_; }
  uint32_t live_numbers() const { return live_numbers_.bound(); }  // all that were ever given are below
  // Whether tables made now could be others, with the same snapshot.
  bool stale(MonotonicTime now) const;
  // When the last tables want to be made again though nothing happened: an ejection ends, a host is warmer.
  MonotonicTime valid_until() const { return valid_until_; }

  // What the numbers of routes stand for, in the snapshot of the last tables.
  std::vector<NumberedRoute> routes() const;
  // The cluster that a number stands for, in every generation that is remembered; "" for others.
  const Text& cluster_name(uint32_t number) const;

 private:
  struct Known {  // a cluster
    uint32_t number = 0, users = 0;
    // What the rest was computed from.
    model::ClusterPtr cluster;
    upstream::ClusterStatePtr state;
    uint64_t health_version = 0, names_version = 0;
    MonotonicTime valid_until{};
    std::vector<IpAddress> own;

    std::array<std::optional<model::NotDirect>, 2> intercept;  // index: IPv6
    ClusterValuePtr value;
    std::vector<LiveKey> held;
  };
  struct Led {  // a route
    const model::FilterChain* chain = nullptr;
    RouteValuePtr value;
    std::vector<ClusterKey> clusters;  // each a user of its Known
  };
  using Names = FlatMap<Text, bool>;

  Names refresh_clusters();
  bool is_stale(const Known& known, MonotonicTime now) const;
  void refresh(const ClusterKey& key, const model::ClusterPtr& cluster, Known& known);
  void refresh_route(const NumberedRoute& route, const Names& changed);
  RouteValue route_value(const NumberedRoute& route, std::vector<ClusterKey>& clusters);
  const Known* use(const Text& name, const NumberedRoute& route, std::vector<ClusterKey>& clusters);
  void let_go(const std::vector<ClusterKey>& clusters);
  void drop_unused_clusters();

  upstream::ClusterRegistry& registry_;
  const upstream::NameCache& names_;
  const model::DirectTerms terms_;

  RouteNumbers route_numbers_;
  Numbers<ClusterKey> cluster_numbers_;
  Numbers<LiveKey> live_numbers_;
  FlatMap<ClusterKey, Known> clusters_;
  FlatMap<uint32_t, Led> routes_;  // by number
  FlatMap<uint32_t, Text> cluster_names_;

  // As of the last time.
  uint64_t generation_;
  model::SnapshotPtr snapshot_;
  MonotonicTime now_{}, valid_until_ = MonotonicTime::max();
  Tables tables_;
};

}  // namespace sockmesh::direct
