#include "server/shutdown.h"

#include <spdlog/spdlog.h>

namespace sockmesh::server {

namespace {

constexpr Duration kLook = std::chrono::milliseconds(100);
constexpr Duration kResetStep = std::chrono::milliseconds(50);
constexpr unsigned kResetSteps = 20;

}  // namespace

bool drained(const Options& options, Duration since, size_t active) {
  if (options.exit_on_zero_connections) return active == 0 && since >= options.minimum_drain;
  return since >= options.drain_duration;
}

size_t reset_share(size_t left, unsigned steps) { return steps <= 1 ? left : (left + steps - 1) / steps; }

Shutdown::Shutdown(event::Loop& loop, Agent& agent, std::function<void()> over)
    : agent_(agent), over_(std::move(over)), timer_(loop.timer([this] { look(); })) {}

void Shutdown::begin() {
  if (phase_ != Phase::kServing) return hurry();
  phase_ = Phase::kDraining;
  began_ = monotonic_now();
  agent_.draining = true;
  spdlog::info("draining: {} connections open", agent_.active());
  look();
}

void Shutdown::hurry() {
  if (phase_ == Phase::kResetting) return;
  phase_ = Phase::kResetting;
  agent_.draining = true;
  steps_left_ = kResetSteps;
  agent_.stop_accepting(std::nullopt);
  reset_some();
}

void Shutdown::look() {
  if (phase_ == Phase::kResetting) return reset_some();
  if (drained(agent_.options, monotonic_now() - began_, agent_.active())) return hurry();
  timer_->set(kLook);
}

void Shutdown::reset_some() {
  const size_t active = agent_.active();
  if (active == 0 || steps_left_ == 0) return over_();
  if (steps_left_ == kResetSteps) spdlog::info("resetting the {} connections that are left", active);
  for (const auto& pod : agent_.pods())
    for (PodTraffic* share : pod->shares())
      if (share->active() > 0) share->reset(reset_share(share->active(), steps_left_));
  --steps_left_;
  timer_->set(kResetStep);
}

}  // namespace sockmesh::server
