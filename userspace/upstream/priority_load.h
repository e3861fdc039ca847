// Priority load: how traffic is shared among the priority levels of a cluster, from the health of each, as
// Envoy does it: a level keeps its traffic until its healthy share times 1.4 (the overprovisioning factor)
// falls below all of it; the rest spills over to the next level. Pure.
#pragma once

#include <cstdint>
#include <vector>

namespace sockmesh::upstream {

inline constexpr uint32_t kOverprovisioningPercent = 140;

struct LevelHealth {
  uint32_t healthy = 0, total = 0;  // hosts with a weight
};

struct LevelLoad {
  uint32_t percent = 0;  // of new connections; all levels sum to 100, or to 0 when nobody can take any
  bool panic = false;    // too few are healthy: choose among all hosts of the level, healthy or not
};

// `panic_threshold_percent` 0: never panic.
std::vector<LevelLoad> priority_load(const std::vector<LevelHealth>& levels,
                                     uint32_t panic_threshold_percent);

}  // namespace sockmesh::upstream
