#include "datapath/lane_counters.h"

#include <utility>

namespace sockmesh::datapath {

LaneStats& LaneStats::operator+=(const LaneStats& other) {
  for (const Lane lane : model::kLanes) {
    OfLane& own = lanes[lane];
    const OfLane& more = other.lanes[lane];
    own.flows_total += more.flows_total;
    own.flows_active += more.flows_active;
    own.refused += more.refused;
    own.stuck += more.stuck;
    own.bytes += more.bytes;
  }
  flows_total += other.flows_total;
  flows_active += other.flows_active;
  return *this;
}

void LaneCounters::add_bytes(const model::BytesByLane& moved) {
  for (const Lane lane : model::kLanes) lanes[lane].bytes += moved[lane].both();
}

LaneStats LaneCounters::stats() const {
  LaneStats stats;
  for (const Lane lane : model::kLanes) {
    const OfLane& own = lanes[lane];
    stats.lanes[lane] = {own.flows_total, own.flows_active, own.refused, own.stuck, own.bytes};
  }
  stats.flows_total = flows_total;
  stats.flows_active = flows_active;
  return stats;
}

CountedFlow::CountedFlow(LaneCounters& counters) : counters_(counters) {
  ++counters_.flows_total;
  ++counters_.flows_active;
}

CountedFlow::~CountedFlow() {
  leave();
  --counters_.flows_active;
}

void CountedFlow::enter(Lane lane) {
  leave();
  lane_ = lane;
  in_lane_ = true;
  ++counters_.lanes[lane].flows_total;
  ++counters_.lanes[lane].flows_active;
}

void CountedFlow::leave() {
  if (std::exchange(in_lane_, false)) --counters_.lanes[lane_].flows_active;
}

}  // namespace sockmesh::datapath
