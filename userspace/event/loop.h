// Loop: one worker's event loop. Readiness watches, timers and posted work, over io_uring or epoll. A loop
// belongs to the thread that runs it; only post() and stop() may be called from other threads. Callbacks run
// in the loop's thread, one at a time, and may create and destroy watches and timers, their own included. A
// loop outlives its watches and timers; work that was posted and not run is dropped with it.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/result.h"

namespace sockmesh::event {

class UringLoop;

enum class Backend : uint8_t { kIoUring, kEpoll };

// Destroying the handle ends what it stands for; the callback does not run afterwards.
class Watch {
 public:
  virtual ~Watch() = default;
  virtual void set_events(
      uint32_t epoll_events) = 0;  // EPOLLIN | EPOLLOUT | EPOLLRDHUP; 0 pauses (errors still come)
};
class Timer {
 public:
  virtual ~Timer() = default;
  virtual void set(Duration from_now) = 0;  // (re)arms; a timer fires once an arming
  virtual void cancel() = 0;
};

class Loop {
 public:
  // kIoUring fails where the kernel or its policy refuses any part that we use (a real transfer is tried).
  static Result<std::unique_ptr<Loop>> create(Backend backend);
  virtual ~Loop() = default;

  virtual Backend backend() const = 0;
  virtual UringLoop* uring() { return nullptr; }  // the ring's own operations, where there is a ring

  virtual void run() = 0;                             // until stop()
  virtual void stop() = 0;                            // any thread
  virtual void post(std::function<void()> work) = 0;  // any thread; runs soon, in order

  // Level-triggered: the callback gets the ready events again and again until they are dealt with. EPOLLERR
  // and EPOLLHUP are always reported. The fd stays the caller's, must outlive the watch and has one watch
  // at a time.
  virtual std::unique_ptr<Watch> watch(int fd, uint32_t epoll_events,
                                       std::function<void(uint32_t)> ready) = 0;
  virtual std::unique_ptr<Timer> timer(
      std::function<void()> fired) = 0;   // made unarmed; resolution 1 ms or better
  virtual MonotonicTime now() const = 0;  // taken once per turn of the loop
};

}  // namespace sockmesh::event
