#include "connection/peek.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace sockmesh::connection {

namespace {

// Bytes that were only peeked stay readable, and would wake a level-triggered watch for ever. So the kernel
// is told to wake us no sooner than one more byte is there (or the stream ended).
void wake_from(int fd, size_t bytes) {
  const int value = static_cast<int>(bytes);
  setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value);
}

}  // namespace

Peek::Peek(event::Loop& loop, event::WatchedFd& socket, size_t limit, std::optional<Duration> timeout,
           std::function<bool(std::span<const uint8_t>)> look, std::function<void(PeekEnd)> done)
    : socket_(socket), limit_(limit), look_(std::move(look)), done_(std::move(done)) {
  socket_.watch(loop, EPOLLIN | EPOLLRDHUP, [this](uint32_t events) { readable(events); });
  if (!timeout) return;
  timer_ = loop.timer([this] { finish(PeekEnd::kTimeout); });
  timer_->set(*timeout);
}

Peek::~Peek() {
  socket_.unwatch();
  if (socket_) wake_from(socket_.get(), 1);
}

void Peek::readable(uint32_t events) {
  static thread_local std::array<uint8_t, 16 * 1024> buffer;
  const size_t room = std::min(limit_, buffer.size());
  const ssize_t got = recv(socket_.get(), buffer.data(), room, MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return finish(PeekEnd::kClosed);
  const auto size = static_cast<size_t>(got);
  if (look_({buffer.data(), size}) || size == room) return finish(PeekEnd::kEnough);
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) return finish(PeekEnd::kClosed);
  wake_from(socket_.get(), size + 1);
}

void Peek::finish(PeekEnd end) {
  socket_.unwatch();
  timer_.reset();
  const auto done = std::move(done_);
  done(end);
}

}  // namespace sockmesh::connection
