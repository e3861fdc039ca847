// The whole of a compilation once its world is known. Pure.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "config/compiler/world.h"
#include "model/snapshot_version.h"

namespace sockmesh::config {

// A snapshot with what it takes to put in other parts later.
struct Built {
  std::shared_ptr<model::Snapshot> snapshot;
  model::ContentSum sum;
  size_t outbound = 0;  // its first listeners: those of build_outbound, by address
  std::map<SocketAddress, model::Finding> refused;  // addresses that have none, and why
  std::vector<Text> inbound_clusters;
};
Built build_snapshot(const World& world);

}  // namespace sockmesh::config
