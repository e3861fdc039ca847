// The version of a snapshot: a hash of what it decides, so that equal configuration has equal text however
// it was written down, in whatever order. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "model/snapshot.h"

namespace sockmesh::model {

// A sum over the parts, so that a part can be taken out and another put in.
uint64_t content_sum(const Snapshot& snapshot);
uint64_t content_part(const Cluster& cluster);
uint64_t content_part(const Listener& listener);
std::string version_text(uint64_t sum);  // 16 hex digits

}  // namespace sockmesh::model
