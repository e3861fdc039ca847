#include "upstream/upstreams.h"

namespace sockmesh::upstream {

Upstreams::Upstreams(event::Loop& loop, const Shared& shared, uint64_t seed)
    : loop_(loop), shared_(shared), random_(seed) {}

Balancer& Upstreams::balancer(const model::ClusterPtr& cluster) {
  std::unique_ptr<Balancer>& balancer = balancers_[cluster->name];
  if (!balancer || balancer->cluster() != cluster)
    balancer = std::make_unique<Balancer>(cluster, shared_.registry.get(cluster->name), shared_.names,
                                          random_.next());
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
