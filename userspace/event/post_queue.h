// PostQueue: work that other threads hand to a loop. An eventfd wakes the loop; the queue is as long as what
// was posted since the last turn (posters are few: configuration, admin, drain). push() and wake(): any
// thread.
#pragma once

#include <functional>
#include <vector>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/result.h"

namespace sockmesh::event {

class PostQueue {
 public:
  static Result<PostQueue> create();
  PostQueue(PostQueue&& other) noexcept : wake_(std::move(other.wake_)) {}  // only before first use

  int fd() const { return wake_.get(); }  // readable when run() has something to do
  void push(std::function<void()> work);
  void wake();
  // Runs what was pushed before the call, in order; what the work itself pushes waits for the next call.
  void run();

 private:
  explicit PostQueue(Fd wake) : wake_(std::move(wake)) {}

  Fd wake_;
  Mutex mutex_;
  std::vector<std::function<void()>> work_ SOCKMESH_GUARDED_BY(mutex_);
};

}  // namespace sockmesh::event
