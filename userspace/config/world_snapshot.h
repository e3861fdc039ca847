// The whole of a compilation once its world is known. Pure.
#pragma once

#include <memory>

#include "config/world.h"

namespace sockmesh::config {

std::shared_ptr<model::Snapshot> build_snapshot(const World& world);

}  // namespace sockmesh::config
