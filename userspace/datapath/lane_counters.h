// LaneCounters: what one worker's flows did, lane by lane. The loop's thread writes, any thread reads: what
// it reads of two counters is of two moments, so their difference says nothing.
#pragma once

#include <atomic>
#include <cstdint>

#include "model/lane.h"

namespace sockmesh::datapath {

using model::Lane;
using model::PerLane;

struct LaneStats {  // totals since start of this worker
  struct OfLane {
    uint64_t flows_total = 0;   // flows that entered it; one that changes lanes enters several
    uint64_t flows_active = 0;  // that are in it
    uint64_t refused = 0;       // that were to enter it and could not, or came too late
    uint64_t stuck = 0;         // that its safety net reset: docs/sockmap.md#the-safety-net
    uint64_t bytes = 0;         // of ended flows, both directions
  };
  PerLane<OfLane> lanes;
  uint64_t flows_total = 0, flows_active = 0;

  LaneStats& operator+=(const LaneStats& other);
};

struct LaneCounters {
  struct OfLane {
    std::atomic<uint64_t> flows_total{0}, flows_active{0}, refused{0}, stuck{0}, bytes{0};
  };
  PerLane<OfLane> lanes;
  std::atomic<uint64_t> flows_total{0}, flows_active{0};

  void add_bytes(const model::BytesByLane& moved);
  LaneStats stats() const;
};

// Counts a flow for as long as this lives. The counters must outlive it.
class CountedFlow {
 public:
  explicit CountedFlow(LaneCounters& counters);
  CountedFlow(const CountedFlow&) = delete;
  CountedFlow& operator=(const CountedFlow&) = delete;
  ~CountedFlow();

  void enter(Lane lane);  // and leave the one where it is
  void refused_by(Lane lane) { ++counters_.lanes[lane].refused; }

 private:
  void leave();

  LaneCounters& counters_;
  Lane lane_{};
  bool in_lane_ = false;
};

}  // namespace sockmesh::datapath
