// ClusterState: what is remembered about a cluster and its endpoints across snapshots and shared by all
// workers: how many connections stand, how connects went, who is ejected. The registry keeps it by cluster
// name and endpoint address, so a new configuration forgets nothing about what stays. Any thread.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "model/snapshot.h"
#include "upstream/host.h"

namespace sockmesh::upstream {

class ClusterState {
 public:
  // The state of an endpoint, made on first sight (`now` starts its slow start).
  HostStatePtr host(const std::string& address, MonotonicTime now);
  // Drops endpoints that are not among `addresses` (sorted) and carry no connection.
  void keep_only(const std::vector<std::string>& addresses);

  // One more connection, unless `limit` stand already (UO). Every true is paid back by release().
  bool acquire(const std::optional<uint32_t>& limit);
  void release() { active_.fetch_sub(1, std::memory_order_relaxed); }
  uint32_t active() const { return active_.load(std::memory_order_relaxed); }

  // Moves on whenever somebody's eligibility changed, so that workers rebuild their lists.
  uint64_t health_version() const { return health_version_.load(std::memory_order_acquire); }
  void health_changed() { health_version_.fetch_add(1, std::memory_order_acq_rel); }

  struct EndpointView {
    std::string address;
    uint32_t active = 0;
    uint64_t connects = 0, failures = 0;
    bool ejected = false;
  };
  std::vector<EndpointView> endpoints(MonotonicTime now) const;

  std::atomic<uint64_t> connects{0}, connect_failures{0}, connect_timeouts{0}, overflows{0}, none_healthy{0},
      ejections{0};

 private:
  std::atomic<uint32_t> active_{0};
  std::atomic<uint64_t> health_version_{1};
  mutable Mutex mutex_;
  std::map<std::string, HostStatePtr> hosts_ SOCKMESH_GUARDED_BY(mutex_);
};
using ClusterStatePtr = std::shared_ptr<ClusterState>;

class ClusterRegistry {
 public:
  ClusterStatePtr get(const std::string& cluster);         // made on first use
  ClusterStatePtr find(const std::string& cluster) const;  // null when never used
  // Forgets clusters that the configuration no longer has; open connections keep theirs alive.
  void keep_only(const model::Snapshot& snapshot);

 private:
  mutable Mutex mutex_;
  std::unordered_map<std::string, ClusterStatePtr> clusters_ SOCKMESH_GUARDED_BY(mutex_);
};

// A place taken in a cluster by acquire(), and at one of its hosts; given back on destruction.
class Lease {
 public:
  Lease() = default;
  explicit Lease(ClusterStatePtr cluster) : cluster_(std::move(cluster)) {}
  Lease(Lease&&) noexcept = default;
  Lease& operator=(Lease&& other) noexcept {
    std::swap(cluster_, other.cluster_);
    std::swap(host_, other.host_);
    return *this;
  }
  ~Lease() {
    move_to(nullptr);
    if (cluster_) cluster_->release();
  }
  // Null: at no host (any more).
  void move_to(HostStatePtr host) {
    if (host_) host_->active.fetch_sub(1, std::memory_order_relaxed);
    host_ = std::move(host);
    if (host_) host_->active.fetch_add(1, std::memory_order_relaxed);
  }
  const HostStatePtr& host() const { return host_; }

 private:
  ClusterStatePtr cluster_;
  HostStatePtr host_;  // null for ORIGINAL_DST, whose hosts are not known
};

}  // namespace sockmesh::upstream
