// The whole of a compilation once its world is known. Pure.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "config/compiler/world.h"

namespace sockmesh::config {

// A snapshot with what it takes to put in other parts later.
struct Built {
  std::shared_ptr<model::Snapshot> snapshot;
  uint64_t sum = 0;     // content_sum of the snapshot
  size_t outbound = 0;  // its first listeners: those of build_outbound, by address
  std::map<SocketAddress, model::Finding> refused;  // addresses that have none, and why
  std::vector<Text> inbound_clusters;
};
Built build_snapshot(const World& world);

}  // namespace sockmesh::config
