#include "event/watched_fd.h"

#include <fcntl.h>

namespace sockmesh::event {

WatchedFd& WatchedFd::operator=(WatchedFd&& other) noexcept {
  if (this == &other) return *this;
  reset();
  fd_ = std::move(other.fd_);
  watch_ = std::move(other.watch_);
  return *this;
}

Result<WatchedFd> WatchedFd::duplicate(int fd) {
  Fd own(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!own) return fail(os_error(fmt::format("duplicating descriptor {}", fd)));
  return WatchedFd(std::move(own));
}

void WatchedFd::watch(Loop& loop, uint32_t epoll_events, std::function<void(uint32_t)> ready) {
  unwatch();  // first: a descriptor has one watch at a time
  watch_ = loop.watch(fd_.get(), epoll_events, std::move(ready));
}

void WatchedFd::set_events(uint32_t epoll_events) {
  if (watch_) watch_->set_events(epoll_events);
}

void WatchedFd::reset() {
  unwatch();
  fd_.reset();
}

Fd WatchedFd::release() {
  unwatch();
  return std::move(fd_);
}

}  // namespace sockmesh::event
