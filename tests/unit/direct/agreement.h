// Whether a table of destinations answers as match() does, at every address and port that could tell two
// answers apart.
#pragma once

#include <cstddef>

#include "direct/destinations.h"

namespace sockmesh::direct {

struct Agreement {
  size_t asked = 0, direct = 0;  // destinations; of these, how many may be direct
};
// Fails the running test case at the first difference.
Agreement check_agreement(const model::Snapshot& snapshot, const model::DirectTerms& terms = {});

}  // namespace sockmesh::direct
