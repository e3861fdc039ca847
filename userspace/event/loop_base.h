// LoopBase: what the loops have in common, which is all but the way they wait. Watches live in an epoll set
// in both: a ring's own poll always reports RDHUP, so on a half-closed socket it would come back at once and
// for ever, and it keeps a closed descriptor's file open until the next submission. What is hot in a ring
// loop, the bytes of relays, goes through the ring's operations and not through watches.
#pragma once

#include <atomic>

#include "event/epoll_set.h"
#include "event/loop.h"
#include "event/post_queue.h"
#include "event/timer_queue.h"

namespace sockmesh::event {

class LoopBase : public Loop {
 public:
  void run() final;
  void stop() final;
  void post(std::function<void()> work) final { posts_.push(std::move(work)); }
  std::unique_ptr<Timer> timer(std::function<void()> fired) final { return timers_.make(std::move(fired)); }
  MonotonicTime now() const final { return now_; }

 protected:
  LoopBase(EpollSet watches, PostQueue posts);

  virtual void begin_run() {}  // in the loop's thread, around the turns
  virtual void end_run() {}
  // Waits for events at most until the next deadline, calls turn_begins(), handles them.
  virtual void turn() = 0;

  void turn_begins() { now_ = monotonic_now(); }
  std::optional<Duration> until_next_timer() const;  // not negative; none: no timer is armed
  EpollSet& watches() { return watches_; }

 private:
  std::unique_ptr<Watch> watch(int fd, uint32_t epoll_events, std::function<void(uint32_t)> ready) final {
    return watches_.watch(fd, epoll_events, std::move(ready));
  }

  EpollSet watches_;
  TimerQueue timers_;
  PostQueue posts_;
  MonotonicTime now_ = monotonic_now();
  std::atomic<bool> stop_{false};
  std::unique_ptr<Watch> posted_;  // last: ends before the set
};

}  // namespace sockmesh::event
