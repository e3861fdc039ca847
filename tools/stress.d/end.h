// One end of a flow: carries out its script on a connected, non-blocking socket, checks every byte that
// comes, and keeps what it saw. One thread; a call never blocks.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/fd.h"
#include "bytes.h"
#include "plan.h"

namespace sockmesh::stress {

// Memory of a thread that its ends read into and write from, one at a time.
struct Scratch {
  Scratch() : in(kSize), out(kSize) {}
  static constexpr size_t kSize = 256 * 1024;
  std::vector<std::byte> in, out;
};

class End {
 public:
  struct Keys {  // of the bytes it sends, and of those it is to receive
    uint64_t out;
    Stream in;
  };
  End(Fd socket, const Script& script, const Keys& keys, uint64_t to_receive, uint64_t randomness);

  int fd() const { return socket_.get(); }
  bool open() const { return static_cast<bool>(socket_); }
  // Goes on as far as it can. `peer`: the other end stands; before that no RST is sent, since a flow that
  // never reaches its server is another matter.
  template <typename Others>
  void step(MonotonicTime now, bool peer, Scratch& scratch, const Others& others) {
    now_ = now;
    if (open()) read_some(scratch, [&](std::span<const std::byte> data) { checker_.take(data, others); });
    if (open()) write_some(scratch);
    if (open()) close_if_over(peer);
  }
  uint32_t wants() const;                      // EPOLLIN | EPOLLOUT, 0 while it only waits
  std::optional<MonotonicTime> wakes() const;  // when a pause ends
  void give_up() { reset_and_close(); }

  uint64_t sent() const { return sent_; }
  uint64_t received() const { return checker_.taken(); }
  // Of the bytes it wrote, those that its kernel had not sent when it closed with bytes unread: an RST goes
  // in their place, so nobody can get them. At most so many: some may have been sent in that very moment.
  uint64_t unsent() const { return unsent_; }
  bool ended() const { return ended_; }          // saw the peer's FIN
  bool was_reset() const { return was_reset_; }  // saw an RST
  const std::string& error() const { return error_; }
  std::string wrong_bytes() const { return checker_.verdict(ended_ && !was_reset_); }

 private:
  template <typename Take>
  void read_some(Scratch& scratch, const Take& take);
  void write_some(Scratch& scratch);
  void close_if_over(bool peer);
  void reset_and_close();
  void close_unread();
  void failed(int error);
  bool may_read() const;
  bool passes_gates();
  uint64_t may_write() const;
  uint64_t next_gate() const { return gate_ < script_->gates.size() ? script_->gates[gate_].at : UINT64_MAX; }

  Fd socket_;
  const Script* script_;
  const Keys keys_;
  Random random_;
  Checker checker_;
  MonotonicTime now_{};
  uint64_t sent_ = 0, paced_ = 0, unsent_ = 0;
  size_t gate_ = 0, stall_ = 0;
  bool gate_open_ = false;  // nothing to wait for but bytes
  bool pausing_ = false;    // at a gate
  MonotonicTime writes_from_{}, reads_from_{};
  bool said_fin_ = false, ended_ = false, was_reset_ = false, send_failed_ = false;
  std::string error_;
};

template <typename Take>
void End::read_some(Scratch& scratch, const Take& take) {
  for (size_t budget = 1 << 20; may_read() && budget > 0;) {
    const uint64_t room = std::min<uint64_t>(script_->reads - received(), Scratch::kSize);
    const ssize_t count =
        recv(socket_.get(), scratch.in.data(), std::min<uint64_t>(room, script_->most_read), MSG_DONTWAIT);
    if (count < 0) return failed(errno);
    if (count == 0) {
      ended_ = true;
      return;
    }
    take(std::span<const std::byte>(scratch.in).first(static_cast<size_t>(count)));
    budget -= std::min(budget, static_cast<size_t>(count));
    while (stall_ < script_->stalls.size() && received() > script_->stalls[stall_].at)
      reads_from_ = now_ + script_->stalls[stall_++].pause;
    if (script_->pace_bytes > 0 && received() >= paced_ + script_->pace_bytes) {
      paced_ = received();
      reads_from_ = now_ + script_->pace_pause;
    }
  }
}

}  // namespace sockmesh::stress
