#include "upstream/upstreams.h"

namespace sockmesh::upstream {

Upstreams::Upstreams(event::Loop& loop, ClusterRegistry& registry, const NameCache& names,
                     OwnDials& own_dials, SourcePorts& source_ports, uint64_t seed)
    : loop_(loop),
      registry_(registry),
      names_(names),
      own_dials_(own_dials),
      source_ports_(source_ports),
      random_(seed) {}

Balancer& Upstreams::balancer(const model::ClusterPtr& cluster) {
  std::unique_ptr<Balancer>& balancer = balancers_[cluster->name];
  if (!balancer || balancer->cluster() != cluster)
    balancer = std::make_unique<Balancer>(cluster, registry_.get(cluster->name), names_, random_.next());
  return *balancer;
}

void Upstreams::configuration_changed(const model::Snapshot& snapshot) {
  std::erase_if(balancers_, [&](const auto& entry) {
    const auto found = snapshot.clusters.find(entry.first);
    return found == snapshot.clusters.end() || found->second != entry.second->cluster();
  });
}

Upstreams::Waiting Upstreams::wait_for_names(std::function<void()> wake) {
  auto waiting = std::make_shared<std::function<void()>>(std::move(wake));
  waiting_.push_back(waiting);
  return waiting;
}

void Upstreams::names_changed() {
  // Waking may end connections and begin to wait anew.
  const auto waiting = std::exchange(waiting_, {});
  for (const auto& one : waiting)
    if (const auto wake = one.lock()) (*wake)();
}

}  // namespace sockmesh::upstream
