// The lane policy: which lane a flow is best moved by, decided from its measured traffic. Pure functions over
// plain values; any thread.
//
// Lane 1 is as fast as the user lanes or faster for a few exchanges of requests and answers, and for streams
// whose reader keeps up with them. It is slower for one bulk transfer alone, because it has a single kernel
// worker for each target socket; and it does nothing for a transfer whose reader is the bottleneck, because
// then the verdict leaves the bytes to user space to hold the sender back. A flow that was spliced can go
// back to being copied, but never out of the sockmap, where copying costs a little more; so such transfers
// are not spliced at all. Many busy exchanges at a time are left in user space too: one turn of the loop
// serves them together, while lane 1 wakes a kernel worker for each.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"

namespace sockmesh::datapath {

// What a flow moved in one interval.
struct TrafficSample {
  uint64_t from_downstream = 0;  // bytes
  uint64_t from_upstream = 0;
  Duration interval{};
};

enum class Traffic : uint8_t { kIdle, kMixed, kBulk };
// Bulk: one direction at half a Gbit/s and more while the other is silent but for acknowledgements of the
// application.
Traffic classify(const TrafficSample& sample);
// An exchange that keeps a processor warm: mixed traffic of 64 KiB/s and more.
bool is_busy(const TrafficSample& sample);

enum class SpliceWish : uint8_t {
  kAlways,    // mode "sockmap": at once, and whatever the traffic
  kMeasured,  // mode "auto"
};

struct FlowFacts {
  Traffic traffic = Traffic::kIdle;
  uint64_t bytes = 0;  // since start, both directions
  Duration age{};
  bool redirecting = false;  // in lane 1 now
  // The reader is the bottleneck: in lane 0, bytes pile up in its socket's send queue; in lane 1, most of the
  // bytes were PASSed.
  bool held_up = false;
  uint32_t bulk_flows = 0;  // in the whole process, this one included
  uint32_t busy_flows = 0;  // likewise; see is_busy()
};

struct LaneAdvice {
  bool redirect;            // be in lane 1, or go there
  std::string_view reason;  // static text for people
};
LaneAdvice advise(SpliceWish wish, const FlowFacts& facts);

}  // namespace sockmesh::datapath
