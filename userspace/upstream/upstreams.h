// Upstreams: what one worker needs to choose and dial hosts: a Balancer per cluster in use, the shared state
// behind them, and who waits for a name to be resolved. Worker thread only; the registry, the name cache,
// the own dials and the source ports are shared and outlive it.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "event/loop.h"
#include "model/snapshot.h"
#include "upstream/balancer.h"
#include "upstream/cluster_state.h"
#include "upstream/name_cache.h"
#include "upstream/own_dials.h"
#include "upstream/random.h"
#include "upstream/source_ports.h"

namespace sockmesh::upstream {

class Upstreams {
 public:
  Upstreams(event::Loop& loop, ClusterRegistry& registry, const NameCache& names, OwnDials& own_dials,
            SourcePorts& source_ports, uint64_t seed);

  // The balancer of this very cluster value; made on first use, replaced when the configuration brought
  // another value under the same name.
  Balancer& balancer(const model::ClusterPtr& cluster);
  ClusterStatePtr state(const model::Cluster& cluster) { return registry_.get(cluster.name); }
  // A new configuration: forgets the balancers that it made useless.
  void configuration_changed(const model::Snapshot& snapshot);

  // Calls `wake` once after some answer arrived; the returned handle, while it lives, keeps the place.
  using Waiting = std::shared_ptr<std::function<void()>>;
  Waiting wait_for_names(std::function<void()> wake);
  void names_changed();

  event::Loop& loop() { return loop_; }
  Random& random() { return random_; }
  OwnDials& own_dials() { return own_dials_; }
  SourcePorts& source_ports() { return source_ports_; }

 private:
  event::Loop& loop_;
  ClusterRegistry& registry_;
  const NameCache& names_;
  OwnDials& own_dials_;
  SourcePorts& source_ports_;
  Random random_;
  std::unordered_map<std::string, std::unique_ptr<Balancer>> balancers_;
  std::vector<std::weak_ptr<std::function<void()>>> waiting_;
};

}  // namespace sockmesh::upstream
