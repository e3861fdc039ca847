#include "upstream/cluster_state.h"

#include <algorithm>

namespace sockmesh::upstream {

HostStatePtr ClusterState::host(const std::string& address, MonotonicTime now) {
  const Lock lock(mutex_);
  HostStatePtr& host = hosts_[address];
  if (!host) host = std::make_shared<HostState>(now);
  return host;
}

void ClusterState::keep_only(const std::vector<std::string>& addresses) {
  const Lock lock(mutex_);
  std::erase_if(hosts_, [&](const auto& entry) {
    return entry.second->active.load(std::memory_order_relaxed) == 0 &&
           !std::binary_search(addresses.begin(), addresses.end(), entry.first);
  });
}

bool ClusterState::acquire(const std::optional<uint32_t>& limit) {
  if (!limit) {
    active_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  uint32_t standing = active_.load(std::memory_order_relaxed);
  do {
    if (standing >= *limit) return false;
  } while (!active_.compare_exchange_weak(standing, standing + 1, std::memory_order_relaxed));
  return true;
}

std::vector<ClusterState::EndpointView> ClusterState::endpoints(MonotonicTime now) const {
  const Lock lock(mutex_);
  std::vector<EndpointView> views;
  views.reserve(hosts_.size());
  for (const auto& [address, host] : hosts_)
    views.push_back({address, host->active, host->connects, host->failures, host->ejected(now)});
  return views;
}

ClusterStatePtr ClusterRegistry::get(const std::string& cluster) {
  const Lock lock(mutex_);
  ClusterStatePtr& state = clusters_[cluster];
  if (!state) state = std::make_shared<ClusterState>();
  return state;
}

ClusterStatePtr ClusterRegistry::find(const std::string& cluster) const {
  const Lock lock(mutex_);
  const auto found = clusters_.find(cluster);
  return found == clusters_.end() ? nullptr : found->second;
}

void ClusterRegistry::keep_only(const model::Snapshot& snapshot) {
  const Lock lock(mutex_);
  std::erase_if(clusters_, [&](const auto& entry) { return !snapshot.clusters.contains(entry.first); });
}

}  // namespace sockmesh::upstream
