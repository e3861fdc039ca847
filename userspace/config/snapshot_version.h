// The version of a snapshot: a hash of what it decides, so that equal configuration has equal text however
// it was written down, in whatever order. Pure.
#pragma once

#include <string>

#include "model/snapshot.h"

namespace sockmesh::config {

std::string version_of(const model::Snapshot& snapshot);  // 16 hex digits

}  // namespace sockmesh::config
