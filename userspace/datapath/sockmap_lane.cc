// Dispatches ring events to flows. A flow may end, and others begin, while events are dispatched.
#include "datapath/sockmap_lane.h"

#include "datapath/sockmap_flow.h"

namespace sockmesh::datapath {

namespace {

constexpr size_t kScratchBytes = 256 * 1024;  // the most that one direction reads at a time, and holds

}  // namespace

SockmapLane::SockmapLane(event::Loop& loop, bpf::SpliceMaps& maps, const SockmapLimits& limits)
    : loop_(loop), maps_(maps), limits_(limits), scratch_(kScratchBytes), late_resets_(loop) {
  const auto number = maps.lease_ring();
  if (!number) return;
  auto ring = bpf::SpliceRing::open(
      maps, *number, [this](uint32_t slot) { on_passing(slot); }, [this] { look_at_all(); });
  auto fd = ring ? event::WatchedFd::duplicate((*ring)->fd()) : Result<event::WatchedFd>(fail(ring.error()));
  if (!fd) {
    maps.return_ring(*number);
    return;
  }
  ring_number_ = *number;
  ring_ = std::move(*ring);
  ring_fd_ = std::move(*fd);
  ring_fd_.watch(loop, EPOLLIN, [this](uint32_t) { ring_->consume(); });
}

SockmapLane::~SockmapLane() {
  ring_fd_.reset();
  ring_.reset();
  if (ring_number_ != SPLICE_NO_RING) maps_.return_ring(ring_number_);
}

void SockmapLane::add(SockmapFlow& flow, uint32_t slot_a, uint32_t slot_b) {
  flows_[slot_a] = flows_[slot_b] = &flow;
}

void SockmapLane::remove(uint32_t slot_a, uint32_t slot_b) {
  flows_.erase(slot_a);
  flows_.erase(slot_b);
}

void SockmapLane::on_passing(uint32_t slot) {
  // An event may be older than the flow that has the slot now; looking once too often does no harm.
  if (const auto found = flows_.find(slot); found != flows_.end()) found->second->look();
}

void SockmapLane::look_at_all() {
  std::vector<uint32_t> slots;
  for (const auto& [slot, flow] : flows_) slots.push_back(slot);
  for (const uint32_t slot : slots) on_passing(slot);
}

void SockmapLane::set_enabled(bool enabled) {
  if (enabled_.exchange(enabled) == enabled) return;
  loop_.post([this, alive = std::weak_ptr<int>(alive_)] {
    if (alive.lock()) apply_switch();
  });
}

void SockmapLane::apply_switch() {
  // Relays decide at their next look whether to redirect again; to stop is immediate.
  if (enabled_) return;
  for (const auto& [slot, flow] : flows_) flow->redirect(false);
  look_at_all();
}

std::string SockmapLane::disabled_text() const {
  if (const std::string reason = maps_.disabled_reason(); !reason.empty())
    return "lane 1 was given up: " + reason;
  return "lane 1 is switched off";
}

void SockmapLane::count_stuck_backlog() {
  if (++counters_.lanes[Lane::kSkSkb].stuck >= limits_.stuck_flows)
    maps_.disable("redirected bytes got stuck on their way to a writable socket, several times");
}

}  // namespace sockmesh::datapath
