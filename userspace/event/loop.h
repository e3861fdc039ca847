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

class WatchedFd;

// Destroying the handle ends what it stands for; the callback does not run afterwards.
class Watch {  // only a WatchedFd (watched_fd.h) has one, and ends it before the descriptor is closed
 public:
  virtual ~Watch() = default;
  virtual void set_events(uint32_t epoll_events) = 0;
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

  virtual std::unique_ptr<Timer> timer(
      std::function<void()> fired) = 0;   // made unarmed; resolution 1 ms or better
  virtual MonotonicTime now() const = 0;  // taken once per turn of the loop

 private:
  // WatchedFd::watch() says what a watch does; a number whose owner is somebody else is watched by nobody.
  friend class WatchedFd;
  virtual std::unique_ptr<Watch> watch(int fd, uint32_t epoll_events,
                                       std::function<void(uint32_t)> ready) = 0;
};

}  // namespace sockmesh::event
