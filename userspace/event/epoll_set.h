// EpollSet: level-triggered watches over one epoll instance. The epoll loop waits in it; the ring loop polls
// its descriptor. Thread: the loop's. A set outlives its watches.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "event/loop.h"

namespace sockmesh::event {

class EpollSet {
 public:
  static Result<EpollSet> create();

  int fd() const { return epoll_.get(); }
  // One watch a descriptor at a time.
  std::unique_ptr<Watch> watch(int fd, uint32_t events, std::function<void(uint32_t)> ready);

  // Waits until something is ready or `timeout_ms` (-1: for ever) is over, then dispatch() runs the callbacks
  // of what was found. Nothing else may run in between.
  void wait(int timeout_ms);
  void dispatch();

 private:
  struct Entry;
  class Handle;

  explicit EpollSet(Fd epoll) : epoll_(std::move(epoll)) {}

  Fd epoll_;
  std::array<epoll_event, 256> found_{};  // one turn's; what does not fit is found by the next wait()
  int count_ = 0;
  bool dispatching_ = false;
  std::vector<std::shared_ptr<Entry>> ended_;  // destroyed while dispatching: `found_` may still name them
};

}  // namespace sockmesh::event
