#include "event/epoll_set.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace sockmesh::event {

struct EpollSet::Entry {
  int fd;
  bool alive = true;
  std::function<void(uint32_t)> ready;
};

namespace {

// Fails for a descriptor that is closed or watched already, a mistake of ours, and at the machine's limit of
// watches (some millions); there is no useful way to go on from either.
void control(int epoll, int operation, int fd, epoll_event* event) {
  if (epoll_ctl(epoll, operation, fd, event) == 0) return;
  spdlog::critical("{}", os_error(fmt::format("epoll_ctl {} of descriptor {}", operation, fd)).message);
  std::abort();
}

}  // namespace

class EpollSet::Handle : public Watch {
 public:
  Handle(EpollSet& set, std::shared_ptr<Entry> entry, uint32_t events)
      : set_(set), entry_(std::move(entry)), events_(events) {
    epoll_event event{.events = events, .data = {.ptr = entry_.get()}};
    control(set_.fd(), EPOLL_CTL_ADD, entry_->fd, &event);
  }
  ~Handle() override {
    control(set_.fd(), EPOLL_CTL_DEL, entry_->fd, nullptr);
    entry_->alive = false;
    if (set_.dispatching_) set_.ended_.push_back(std::move(entry_));
  }
  void set_events(uint32_t events) override {
    if (events == events_) return;
    events_ = events;
    epoll_event event{.events = events, .data = {.ptr = entry_.get()}};
    control(set_.fd(), EPOLL_CTL_MOD, entry_->fd, &event);
  }

 private:
  EpollSet& set_;
  std::shared_ptr<Entry> entry_;
  uint32_t events_;
};

Result<EpollSet> EpollSet::create() {
  Fd epoll{epoll_create1(EPOLL_CLOEXEC)};
  if (!epoll) return fail(os_error("epoll_create1"));
  return EpollSet(std::move(epoll));
}

std::unique_ptr<Watch> EpollSet::watch(int fd, uint32_t events, std::function<void(uint32_t)> ready) {
  auto entry = std::make_shared<Entry>(Entry{.fd = fd, .ready = std::move(ready)});
  return std::make_unique<Handle>(*this, std::move(entry), events);
}

void EpollSet::wait(int timeout_ms) {
  // EINTR counts as "nothing ready": the loop goes round.
  count_ = std::max(0, epoll_wait(fd(), found_.data(), static_cast<int>(found_.size()), timeout_ms));
}

void EpollSet::dispatch() {
  dispatching_ = true;
  for (int i = 0; i < count_; ++i) {
    const auto& found = found_[static_cast<size_t>(i)];
    auto& entry = *static_cast<Entry*>(found.data.ptr);
    if (entry.alive) entry.ready(found.events);
  }
  count_ = 0;
  dispatching_ = false;
  ended_.clear();
}

}  // namespace sockmesh::event
