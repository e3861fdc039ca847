// Host groups: which hosts of a cluster may take a new connection at a moment, and with which shares: by
// health and ejection, priority, panic, and locality weights. Within a group a Picker chooses. What decides
// here decides for every lane. Pure but for what it reads of HostState's atomics.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "model/snapshot.h"
#include "upstream/host.h"

namespace sockmesh::upstream {

struct HostGroup {  // hosts that share a priority and, under `distribute`, a locality
  double weight = 0;
  std::vector<const Host*> hosts;  // at least one
};

struct HostLevel {
  uint32_t percent = 0;  // of new connections; all levels sum to 100, or to 0 when nobody can take any
  std::vector<HostGroup> groups;
  double weight = 0;  // of the groups together
};

struct HostLevels {
  std::vector<HostLevel> levels;  // index: priority
  // When the next ejection ends; they hold until then, unless the cluster's health changes.
  MonotonicTime valid_until = MonotonicTime::max();
};

// Points into `hosts`, which must outlive it.
HostLevels host_levels(const model::Cluster& cluster, const HostList& hosts, MonotonicTime now);

}  // namespace sockmesh::upstream
