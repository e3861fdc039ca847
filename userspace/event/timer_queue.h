// TimerQueue: the timers of one loop, in a binary heap by deadline. Arming, cancelling and firing cost O(log
// n); users with frequent deadlines (idle timeouts) note the time of the last event and re-arm when the timer
// fires. Thread: the loop's. A queue outlives its timers.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "event/loop.h"

namespace sockmesh::event {

class TimerQueue {
 public:
  std::unique_ptr<Timer> make(std::function<void()> fired);
  std::optional<MonotonicTime> next() const;  // the earliest deadline
  // Fires what is due at `now`. Callbacks may arm, cancel and destroy any timer.
  void run_due(MonotonicTime now);

 private:
  struct Entry;
  class Handle;

  void arm(Entry& entry, MonotonicTime deadline);
  void disarm(Entry& entry);
  void place(size_t index, Entry* entry);
  void sift_up(size_t index);
  void sift_down(size_t index);

  std::vector<Entry*> heap_;
};

}  // namespace sockmesh::event
