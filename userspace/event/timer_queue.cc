#include "event/timer_queue.h"

namespace sockmesh::event {

namespace {
constexpr size_t kUnarmed = SIZE_MAX;
}

// Shared, so that a timer destroyed by its own callback lives until the callback has returned.
struct TimerQueue::Entry : std::enable_shared_from_this<Entry> {
  MonotonicTime deadline;
  size_t index = kUnarmed;
  std::function<void()> fired;
};

class TimerQueue::Handle : public Timer {
 public:
  Handle(TimerQueue& queue, std::shared_ptr<Entry> entry) : queue_(queue), entry_(std::move(entry)) {}
  ~Handle() override { queue_.disarm(*entry_); }
  // From the real time, not the turn's: a loop may have been busy, or not running yet.
  void set(Duration from_now) override { queue_.arm(*entry_, monotonic_now() + from_now); }
  void cancel() override { queue_.disarm(*entry_); }

 private:
  TimerQueue& queue_;
  std::shared_ptr<Entry> entry_;
};

std::unique_ptr<Timer> TimerQueue::make(std::function<void()> fired) {
  auto entry = std::make_shared<Entry>();
  entry->fired = std::move(fired);
  return std::make_unique<Handle>(*this, std::move(entry));
}

std::optional<MonotonicTime> TimerQueue::next() const {
  if (heap_.empty()) return std::nullopt;
  return heap_.front()->deadline;
}

void TimerQueue::run_due(MonotonicTime now) {
  // A timer re-armed by its callback gets a deadline after `now`, so this ends.
  while (!heap_.empty() && heap_.front()->deadline <= now) {
    const auto entry = heap_.front()->shared_from_this();
    disarm(*entry);
    entry->fired();
  }
}

void TimerQueue::arm(Entry& entry, MonotonicTime deadline) {
  disarm(entry);
  entry.deadline = deadline;
  heap_.push_back(nullptr);
  place(heap_.size() - 1, &entry);
  sift_up(heap_.size() - 1);
}

void TimerQueue::disarm(Entry& entry) {
  const size_t index = std::exchange(entry.index, kUnarmed);
  if (index == kUnarmed) return;
  Entry* last = heap_.back();
  heap_.pop_back();
  if (last == &entry) return;
  place(index, last);
  sift_up(index);
  sift_down(last->index);
}

void TimerQueue::place(size_t index, Entry* entry) {
  heap_[index] = entry;
  entry->index = index;
}

void TimerQueue::sift_up(size_t index) {
  Entry* entry = heap_[index];
  while (index > 0) {
    const size_t parent = (index - 1) / 2;
    if (heap_[parent]->deadline <= entry->deadline) break;
    place(index, heap_[parent]);
    index = parent;
  }
  place(index, entry);
}

void TimerQueue::sift_down(size_t index) {
  Entry* entry = heap_[index];
  for (;;) {
    size_t child = 2 * index + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1]->deadline < heap_[child]->deadline) ++child;
    if (entry->deadline <= heap_[child]->deadline) break;
    place(index, heap_[child]);
    index = child;
  }
  place(index, entry);
}

}  // namespace sockmesh::event
