// The version of a snapshot: a hash of what it decides, so that equal configuration has equal text however
// it was written down, in whatever order. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "base/arithmetic.h"
#include "model/snapshot.h"

namespace sockmesh::model {

// A sum over hashes of the parts, so that a part can be taken out and another put in. It wraps around.
class ContentSum {
 public:
  SOCKMESH_WRAPS void add(uint64_t part) { sum_ += part; }
  SOCKMESH_WRAPS void remove(uint64_t part) { sum_ -= part; }
  std::string version() const;  // 16 hex digits

 private:
  uint64_t sum_ = 0;
};
ContentSum content_sum(const Snapshot& snapshot);
uint64_t content_part(const Cluster& cluster);
uint64_t content_part(const Listener& listener);

}  // namespace sockmesh::model
