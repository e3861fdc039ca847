// The outbound listeners of a sidecar: virtualOutbound and one per address and port that a visible service
// claims, with the conflicts settled (facts: istio.md 2.2, 2.4). Pure.
#pragma once

#include <vector>

#include "config/world.h"

namespace sockmesh::config {

std::vector<model::ListenerPtr> build_outbound(const World& world, std::vector<model::Finding>& findings);

}  // namespace sockmesh::config
