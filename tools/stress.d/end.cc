#include "end.h"

#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <cstring>

namespace sockmesh::stress {

End::End(Fd socket, const Script& script, const Keys& keys, uint64_t to_receive, uint64_t randomness)
    : socket_(std::move(socket)),
      script_(&script),
      keys_(keys),
      random_(randomness),
      checker_(keys.in, to_receive) {}

bool End::may_read() const { return open() && !ended_ && now_ >= reads_from_ && received() < script_->reads; }

// Opens the gates that stand at this offset, one after the other; false while one of them is shut.
bool End::passes_gates() {
  while (next_gate() <= sent_) {
    const Gate& gate = script_->gates[gate_];
    if (received() < gate.received || (gate.peer_ended && !ended_ && !was_reset_)) return false;
    if (!pausing_ && gate.pause.count() > 0) {
      pausing_ = true;
      writes_from_ = now_ + gate.pause;
    }
    if (now_ < writes_from_) return false;
    pausing_ = false;
    ++gate_;
  }
  return true;
}

uint64_t End::may_write() const {
  return send_failed_ ? 0 : std::min(script_->send, next_gate()) - std::min(sent_, script_->send);
}

void End::write_some(Scratch& scratch) {
  for (size_t budget = 1 << 20; !send_failed_ && budget > 0;) {
    gate_open_ = passes_gates();
    if (!gate_open_ || may_write() == 0) return;
    const uint64_t drawn = random_.about(script_->least_write, script_->most_write);
    const size_t size = std::min({may_write(), drawn, Scratch::kSize});
    const auto bytes = std::span(scratch.out).first(size);
    fill(keys_.out, sent_, bytes);
    const ssize_t count = send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0) {
      return failed(errno);
    }
    sent_ += static_cast<size_t>(count);
    gate_open_ = passes_gates();
    budget -= std::min(budget, static_cast<size_t>(count));
    if (static_cast<size_t>(count) < size) return;
  }
}

void End::failed(int error) {
  if (error == EAGAIN || error == EINTR) return;
  if (error == ECONNRESET || error == EPIPE) {
    // What came before it is still to be read, up to the 0 that follows: no clean end then.
    was_reset_ = send_failed_ = true;
    return;
  }
  if (error_.empty()) error_ = std::strerror(error);
  socket_.reset();
}

void End::reset_and_close() {
  if (!socket_) return;
  const linger now{1, 0};
  setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  socket_.reset();
}

void End::close_unread() {
  int bytes = 0;
  if (ioctl(socket_.get(), SIOCOUTQNSD, &bytes) == 0) unsent_ = static_cast<uint64_t>(bytes);
  socket_.reset();
}

void End::close_if_over(bool peer) {
  const bool written = sent_ == script_->send && gate_open_;
  if (script_->close != Close::kFin) {
    if (written && peer) script_->close == Close::kReset ? reset_and_close() : close_unread();
    if (!open()) return;
  }
  if (was_reset_ && (ended_ || received() >= script_->reads)) return socket_.reset();
  if (written && script_->close == Close::kFin && !said_fin_ && !send_failed_) {
    said_fin_ = true;
    if (shutdown(socket_.get(), SHUT_WR) != 0) failed(errno == ENOTCONN ? ECONNRESET : errno);
  }
  if (said_fin_ && ended_) socket_.reset();
}

uint32_t End::wants() const {
  if (!open()) return 0;
  uint32_t events = may_read() ? EPOLLIN : 0u;
  if (gate_open_ && may_write() > 0) events |= EPOLLOUT;
  return events;
}

std::optional<MonotonicTime> End::wakes() const {
  std::optional<MonotonicTime> at;
  if (!open()) return at;
  if (reads_from_ > now_ && !ended_) at = reads_from_;
  if (pausing_ && (!at || writes_from_ < *at)) at = writes_from_;
  return at;
}

}  // namespace sockmesh::stress
