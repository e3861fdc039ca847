#include "event/post_queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

namespace sockmesh::event {

Result<PostQueue> PostQueue::create() {
  Fd wake{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  if (!wake) return fail(os_error("eventfd"));
  return PostQueue(std::move(wake));
}

void PostQueue::push(std::function<void()> work) {
  bool first = false;
  {
    const Lock lock(mutex_);
    first = work_.empty();
    work_.push_back(std::move(work));
  }
  if (first) wake();
}

void PostQueue::wake() {
  const uint64_t one = 1;
  // It fails only when the counter is full, and then the loop has been woken already.
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
}

void PostQueue::run() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(wake_.get(), &count, sizeof count);
  std::vector<std::function<void()>> work;
  {
    const Lock lock(mutex_);
    work.swap(work_);
  }
  for (const auto& one : work) one();
}

}  // namespace sockmesh::event
