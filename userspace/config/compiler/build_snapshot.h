// The whole of a compilation once the proxy's view of the mesh is known. Pure.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "config/compiler/proxy_view.h"
#include "model/snapshot_version.h"

namespace sockmesh::config {

// A snapshot with what it takes to put in other parts later.
struct Built {
  std::shared_ptr<model::Snapshot> snapshot;
  model::ContentSum sum;
  size_t outbound = 0;  // its first listeners: those of build_outbound, by address
  std::map<SocketAddress, model::Finding> refused;  // addresses that have none, and why
  std::vector<Text> inbound_clusters;
  std::vector<model::Finding> lasting_findings;  // the first ones: those that no change of hosts concerns
};
Built build_snapshot(const ProxyView& view);

}  // namespace sockmesh::config
