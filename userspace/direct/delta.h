// Delta: what makes one set of tables of another, entry by entry. Values, any thread.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "direct/decisions.h"

namespace sockmesh::direct {

template <typename Key, typename Value>
struct Changes {
  std::vector<std::pair<Key, Value>> inserted, replaced;  // with what they are from now on
  std::vector<Key> removed;
  bool empty() const { return inserted.empty() && replaced.empty() && removed.empty(); }
  size_t size() const { return inserted.size() + replaced.size() + removed.size(); }
};

struct Delta {
  Changes<SocketAddress, Verdict> exact;
  Changes<PortPrefix, Verdict> prefixes;
  Changes<uint32_t, RouteValuePtr> routes;
  Changes<uint32_t, ClusterValuePtr> clusters;
  bool empty() const { return exact.empty() && prefixes.empty() && routes.empty() && clusters.empty(); }
};

Delta delta(const Tables& before, const Tables& after);

}  // namespace sockmesh::direct
