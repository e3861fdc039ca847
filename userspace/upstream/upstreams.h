// Upstreams: what one worker needs to choose and dial hosts for one pod: a Balancer per cluster in use, the
// shared state behind them, and who waits for a name to be resolved. Worker thread only.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "event/loop.h"
#include "model/snapshot.h"
#include "net/network_namespace.h"
#include "upstream/balancer.h"
#include "upstream/cluster_state.h"
#include "upstream/name_cache.h"
#include "upstream/own_dials.h"
#include "upstream/random.h"
#include "upstream/source_ports.h"

namespace sockmesh::upstream {

class Upstreams {
 public:
  // The pod's, for all of its workers; all outlive this.
  struct Shared {
    ClusterRegistry& registry;
    const NameCache& names;
    OwnDials& own_dials;
    SourcePorts& source_ports;
    const net::NetworkNamespace& network;  // where it dials
  };
  Upstreams(event::Loop& loop, const Shared& shared, uint64_t seed);

  // The balancer of this very cluster value; made on first use, replaced when the configuration brought
  // another value under the same name.
  Balancer& balancer(const model::ClusterPtr& cluster);
  ClusterStatePtr state(const model::Cluster& cluster) { return shared_.registry.get(cluster.name); }
  // A new configuration: forgets the balancers that it made useless.
  void configuration_changed(const model::Snapshot& snapshot);

  // Calls `wake` once after some answer arrived; the returned handle, while it lives, keeps the place.
  using Waiting = std::shared_ptr<std::function<void()>>;
  Waiting wait_for_names(std::function<void()> wake);
  void names_changed();

  event::Loop& loop() { return loop_; }
  Random& random() { return random_; }
  OwnDials& own_dials() { return shared_.own_dials; }
  SourcePorts& source_ports() { return shared_.source_ports; }
  const net::NetworkNamespace& network() const { return shared_.network; }

 private:
  event::Loop& loop_;
  const Shared shared_;
  Random random_;
  std::unordered_map<std::string, std::unique_ptr<Balancer>> balancers_;
  std::vector<std::weak_ptr<std::function<void()>>> waiting_;
};

}  // namespace sockmesh::upstream
