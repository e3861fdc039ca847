#include "datapath/user_timers.h"

namespace sockmesh::datapath {

FlowTimers::FlowTimers(event::Loop& loop, const RelayOptions& options,
                       std::function<void(CloseReason)> expired)
    : loop_(loop),
      idle_timeout_(options.idle_timeout),
      expired_(std::move(expired)),
      last_active_(monotonic_now()) {
  if (idle_timeout_ > Duration::zero()) {
    idle_ = loop.timer([this] { idle_fired(); });
    idle_->set(idle_timeout_);
  }
  if (options.max_duration > Duration::zero()) {
    duration_ = loop.timer([this] {
      const auto tell = expired_;  // `this` may be gone before it returns
      tell(CloseReason::kMaxDuration);
    });
    duration_->set(options.max_duration);
  }
}

void FlowTimers::idle_fired() {
  const Duration left = last_active_ + idle_timeout_ - monotonic_now();
  if (left > Duration::zero()) {
    idle_->set(left);
    return;
  }
  const auto tell = expired_;
  tell(CloseReason::kIdleTimeout);
}

}  // namespace sockmesh::datapath
