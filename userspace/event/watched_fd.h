// WatchedFd: a descriptor together with the watch of it, as one value. The kernel knows a watch by the number
// of its descriptor: a number that is closed while it is watched cannot be taken out any more, and when it
// was given to somebody else meanwhile, taking it out would end that one's watch. So nothing else can watch,
// and here the watch always goes before the descriptor is closed, given away or replaced, in whatever order
// the owner does things. Move-only. Thread: the loop's while it is watched.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "base/fd.h"
#include "base/result.h"
#include "event/loop.h"

namespace sockmesh::event {

class WatchedFd {
 public:
  WatchedFd() = default;
  explicit WatchedFd(Fd fd) : fd_(std::move(fd)) {}  // not watched yet
  WatchedFd(WatchedFd&&) = default;
  WatchedFd& operator=(WatchedFd&& other) noexcept;
  ~WatchedFd() = default;  // members go in reverse order: the watch before the descriptor

  // For a descriptor that a library owns and closes by itself: a duplicate of ours, which is closed here.
  // What it refers to stays open until then, so this is not for sockets whose peer is to see them closed.
  static Result<WatchedFd> duplicate(int fd);

  int get() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  bool watched() const { return watch_ != nullptr; }

  // Watches for `epoll_events` (EPOLLIN | EPOLLOUT | EPOLLRDHUP; 0 pauses), instead of what was watched for
  // before. Level-triggered: `ready` gets the ready events again and again until they are dealt with;
  // EPOLLERR and EPOLLHUP are always reported. It may do anything with this object, destroying it included.
  // The loop must outlive the watch.
  void watch(Loop& loop, uint32_t epoll_events, std::function<void(uint32_t)> ready);
  void set_events(uint32_t epoll_events);  // no-op when it is not watched
  void unwatch() { watch_.reset(); }

  void reset();  // ends the watch, closes
  Fd release();  // ends the watch, gives the descriptor away

 private:
  Fd fd_;
  std::unique_ptr<Watch> watch_;  // after fd_: goes first
};

}  // namespace sockmesh::event
