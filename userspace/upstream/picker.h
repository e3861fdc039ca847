// Pickers: which of several hosts takes the next connection, one class a load-balancing policy of
// model::LbPolicy. They see a fixed list of hosts, all eligible; who is eligible is decided in balancer.h.
// Not thread-safe: each worker has its own, so that no counter is shared on the hot path.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "model/snapshot.h"
#include "upstream/hash_table.h"
#include "upstream/host.h"
#include "upstream/random.h"

namespace sockmesh::upstream {

struct PickInput {
  MonotonicTime now{};
  std::optional<uint64_t> hash;  // of the source address; absent: a random one
};

class Picker {
 public:
  virtual ~Picker() = default;
  // An index into the list the picker was made for.
  virtual size_t pick(const PickInput& input, Random& random) = 0;
};

// `hosts` is not empty and outlives the picker.
std::unique_ptr<Picker> make_picker(const model::Cluster& cluster, const std::vector<const Host*>& hosts,
                                    Random& random);

// Some host is still in its slow start.
bool warming(const model::Cluster& cluster, const std::vector<const Host*>& hosts, MonotonicTime now);

// The weight of a host as round robin and least request see it: scaled down while it warms up.
double warm_weight(const model::Cluster& cluster, const Host& host, MonotonicTime now);

// Where hashes lead under RING_HASH and MAGLEV; null under the other policies.
std::unique_ptr<HashTable> make_hash_table(const model::Cluster& cluster,
                                           const std::vector<const Host*>& hosts);

// The share of its weight that a host gets `age` after it was first seen: from minimum_percent to 1 over
// `duration`, bent by the aggression (Envoy's slow start).
double slow_start_factor(const model::SlowStart& slow_start, Duration age);

}  // namespace sockmesh::upstream
