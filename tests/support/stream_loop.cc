#include "test_support/stream_loop.h"

#include <poll.h>

#include <algorithm>
#include <array>

namespace sockmesh::test {

static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT);

void Tally::count_failure(std::string why) {
  ++failed;
  if (errors.size() < kErrorsKept) errors.push_back(std::move(why));
}

StreamLoop::StreamLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

void StreamLoop::watch(int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  watched_.push_back(fd);
}

void StreamLoop::add(Fd socket, const EndPlan& plan, const EndPlan& peer) {
  const int fd = socket.get();
  ++tally_.flows;
  streams_[fd] = std::make_unique<Stream>(Stream{StreamEnd(std::move(socket), plan, peer)});
  // Ready to write is also how the end of connect() shows.
  epoll_event event{.events = EPOLLOUT, .data = {.fd = fd}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  streams_[fd]->armed = EPOLLOUT;
}

void StreamLoop::move_on(int fd) {
  const auto found = streams_.find(fd);
  if (found == streams_.end()) return;
  Stream& stream = *found->second;
  stream.end.step();
  if (stream.end.done()) {
    const EndReport& report = stream.end.report();
    tally_.sent += report.sent;
    tally_.received += report.received;
    tally_.resets += report.reset ? 1 : 0;
    if (std::string why = stream.end.verdict(); !why.empty()) tally_.count_failure(std::move(why));
    streams_.erase(found);
    return;
  }
  const auto wanted = static_cast<uint32_t>(stream.end.wants());
  if (wanted == stream.armed) return;
  // A hang-up is reported even to those who wait for nothing, and would make the loop spin: such a stream
  // leaves the set for as long as it holds.
  epoll_event event{.events = wanted, .data = {.fd = fd}};
  const int change = wanted == 0 ? EPOLL_CTL_DEL : stream.armed == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  epoll_ctl(epoll_.get(), change, fd, &event);
  stream.armed = wanted;
}

std::vector<int> StreamLoop::wait(std::chrono::milliseconds limit) {
  std::vector<int> rested;  // those whose read pause is over
  int timeout = static_cast<int>(limit.count());
  for (const auto& [fd, stream] : streams_) {
    if (stream->end.plan().read_pause_ms == 0) continue;
    if (const auto pause = stream->end.pause_left()) {
      timeout = std::min(timeout, *pause);
    } else {
      rested.push_back(fd);
    }
  }
  for (const int fd : rested) move_on(fd);

  std::array<epoll_event, 256> events;
  const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
  std::vector<int> ready;
  for (int i = 0; i < count; ++i) {
    const int fd = events[static_cast<size_t>(i)].data.fd;
    if (std::find(watched_.begin(), watched_.end(), fd) != watched_.end()) {
      ready.push_back(fd);
    } else {
      move_on(fd);
    }
  }
  return ready;
}

void StreamLoop::resume() {
  std::vector<int> fds;
  for (const auto& [fd, stream] : streams_) {
    stream->end.resume();
    fds.push_back(fd);
  }
  for (const int fd : fds) move_on(fd);
}

void StreamLoop::give_up(const std::string& why) {
  std::vector<int> fds;
  for (const auto& [fd, stream] : streams_) {
    stream->end.give_up(why);
    fds.push_back(fd);
  }
  for (const int fd : fds) move_on(fd);
}

bool StreamLoop::all_holding() const {
  return !streams_.empty() && std::all_of(streams_.begin(), streams_.end(),
                                          [](const auto& entry) { return entry.second->end.holding(); });
}

}  // namespace sockmesh::test
