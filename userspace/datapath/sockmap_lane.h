// SockmapLane: one worker's part of lane 1: its ring, its spliced flows, its counters, its switch. Thread:
// that of the loop, except set_enabled() and the counters' stats().
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "bpf/splice_maps.h"
#include "bpf/splice_ring.h"
#include "datapath/lane_counters.h"
#include "datapath/late_resets.h"
#include "event/watched_fd.h"

namespace sockmesh::datapath {

class SockmapFlow;

// What the lane puts up with (docs/sockmap.md#the-safety-net).
struct SockmapLimits {
  // A worker that has bytes and a writable socket needs microseconds, but a machine that is loaded ten times
  // over can withhold the processor from it for seconds. Waiting costs time, a reset costs a connection: so
  // long enough to be sure.
  Duration stuck = std::chrono::seconds(30);
  // So many flows with a stuck backlog are an accident; then the lane is given up.
  uint64_t stuck_flows = 3;
  // Redirected bytes of all flows that may wait for workers. A flow that would add to more copies instead.
  uint64_t backlog_bytes = 256u << 20;
};

class SockmapLane {
 public:
  // `loop` and `maps` must outlive this, and this its flows and relays. Leases one of the maps' rings; when
  // none is free, flows watch their sockets for PASSed bytes instead, which costs a wake-up a segment.
  SockmapLane(event::Loop& loop, bpf::SpliceMaps& maps, const SockmapLimits& limits = {});
  ~SockmapLane();

  event::Loop& loop() { return loop_; }
  bpf::SpliceMaps& maps() { return maps_; }
  uint32_t ring() const { return ring_number_; }  // or SPLICE_NO_RING
  std::span<char> scratch() { return scratch_; }
  LateResets& late_resets() { return late_resets_; }
  const SockmapLimits& limits() const { return limits_; }

  // The run-time switch, any thread: false moves all open flows' bytes through user space from the next turn
  // of the loop on, and new flows stay there.
  void set_enabled(bool enabled);
  bool enabled() const { return enabled_.load(std::memory_order_relaxed) && maps_.enabled(); }
  std::string disabled_text() const;  // why not, for people

  void add(SockmapFlow& flow, uint32_t slot_a, uint32_t slot_b);
  void remove(uint32_t slot_a, uint32_t slot_b);

  // A backlog that did not move although its target was writable: the flow was reset. After several the lane
  // is given up.
  void count_stuck_backlog();

  LaneCounters& counters() { return counters_; }
  const LaneCounters& counters() const { return counters_; }

 private:
  void on_passing(uint32_t slot);
  void look_at_all();
  void apply_switch();

  event::Loop& loop_;
  bpf::SpliceMaps& maps_;
  const SockmapLimits limits_;
  std::atomic<bool> enabled_{true};
  LaneCounters counters_;

  // the loop's thread
  uint32_t ring_number_ = SPLICE_NO_RING;
  std::vector<char> scratch_;
  LateResets late_resets_;
  std::unordered_map<uint32_t, SockmapFlow*> flows_;      // by the slots of both their sockets
  std::shared_ptr<int> alive_ = std::make_shared<int>();  // posted work that comes later sees it gone
  std::unique_ptr<bpf::SpliceRing> ring_;
  event::WatchedFd ring_fd_;  // the library's, duplicated
};

}  // namespace sockmesh::datapath
