#include "event/loop_base.h"

#include <algorithm>

namespace sockmesh::event {

LoopBase::LoopBase(EpollSet watches, PostQueue posts)
    : watches_(std::move(watches)), posts_(std::move(posts)) {
  posted_ = watches_.watch(posts_.fd(), EPOLLIN, [this](uint32_t) { posts_.run(); });
}

void LoopBase::run() {
  begin_run();
  while (!stop_.exchange(false)) {
    turn();
    // After the events: a byte that came in this turn saves a flow from the idle timeout of this turn.
    timers_.run_due(now_);
  }
  end_run();
}

void LoopBase::stop() {
  stop_ = true;
  posts_.wake();
}

std::optional<Duration> LoopBase::until_next_timer() const {
  const auto next = timers_.next();
  if (!next) return std::nullopt;
  return std::max<Duration>(Duration::zero(), *next - monotonic_now());
}

}  // namespace sockmesh::event
