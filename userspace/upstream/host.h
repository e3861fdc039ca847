// Host: one endpoint that can be dialled, with what is remembered about it. HostState outlives snapshots and
// is shared by all workers: its fields are atomics, read and written without order between them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "model/snapshot.h"

namespace sockmesh::upstream {

struct HostState {
  explicit HostState(MonotonicTime now) : first_seen(now) {}

  const MonotonicTime first_seen;                                  // for slow start
  std::atomic<uint32_t> active{0};                                 // connections that are being made or stand
  std::atomic<uint64_t> connects{0};                               // successful ones
  std::atomic<uint64_t> failures{0};                               // refused, unreachable, timed out
  std::atomic<uint32_t> run_5xx{0}, run_gateway{0}, run_local{0};  // failures in a row, by Envoy's classes
  std::atomic<int64_t> ejected_until{0};  // steady clock, ns; in the past or 0: not ejected
  std::atomic<uint32_t> ejections{0};     // in a row: the multiplier of the ejection time

  bool ejected(MonotonicTime now) const {
    return ejected_until.load(std::memory_order_relaxed) > now.time_since_epoch().count();
  }
};
using HostStatePtr = std::shared_ptr<HostState>;

struct Host {
  model::EndpointAddress address;  // a socket address or a Unix path; names are resolved by now
  uint32_t weight = 1;
  uint32_t priority = 0;
  model::Health health = model::Health::kHealthy;
  std::shared_ptr<const model::Locality> locality;  // may be null
  model::WorkloadPtr workload;                      // may be null
  HostStatePtr state;

  bool usable(MonotonicTime now) const { return health == model::Health::kHealthy && !state->ejected(now); }
};
using HostList = std::vector<Host>;

}  // namespace sockmesh::upstream
