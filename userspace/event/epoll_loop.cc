#include "event/epoll_loop.h"

#include <algorithm>
#include <climits>

namespace sockmesh::event {

Result<std::unique_ptr<Loop>> EpollLoop::create() {
  SOCKMESH_TRY(watches, EpollSet::create());
  SOCKMESH_TRY(posts, PostQueue::create());
  return std::unique_ptr<Loop>(new EpollLoop(std::move(watches), std::move(posts)));
}

void EpollLoop::turn() {
  int timeout_ms = -1;
  if (const auto left = until_next_timer()) {
    // Rounded up: a timer must not find its deadline still ahead and spin.
    const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(*left).count();
    timeout_ms = static_cast<int>(std::min<int64_t>(rounded, INT_MAX));
  }
  watches().wait(timeout_ms);
  turn_begins();
  watches().dispatch();
}

}  // namespace sockmesh::event
