// Snapshots with everything in them that decides what is direct, and the destinations at which tables and
// match() could disagree.
#pragma once

#include <random>
#include <vector>

#include "model/direct.h"
#include "upstream/cluster_state.h"
#include "upstream/name_cache.h"

namespace sockmesh::direct {

// A copy, changed here and there: more chains, prefixes of both families, weights, policies, localities,
// priorities, health, timeouts, egress lists.
model::SnapshotPtr vary(const model::Snapshot& snapshot, std::mt19937_64& random);
model::DirectTerms random_terms(std::mt19937_64& random);

// Ages hosts and ejects some; answers each name with addresses.
void vary_hosts(const model::Snapshot& snapshot, upstream::ClusterRegistry& registry, MonotonicTime now,
                std::mt19937_64& random);
void answer_names(const model::Snapshot& snapshot, upstream::NameCache& names, MonotonicTime now);

// Each address that is named, its neighbours, the edges of prefixes, some that nobody names; with each port
// that is named, its neighbours, and the extremes.
std::vector<SocketAddress> grid(const model::Snapshot& snapshot, const model::DirectTerms& terms);

}  // namespace sockmesh::direct
