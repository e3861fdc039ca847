// The steps of sockmap_direction.h. Sockets are non-blocking; EAGAIN is how a step ends.
#include "datapath/sockmap_direction.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/arithmetic.h"
#include "base/disturb.h"
#include "datapath/flow_sockets.h"
#include "datapath/socket_bounds.h"

namespace sockmesh::datapath {

namespace {

// Reads of one direction in one turn of the loop, so that a fast flow does not starve the others.
constexpr int kReadsPerTurn = 8;

}  // namespace

SockmapDirection::SockmapDirection(bpf::SplicePair& pair, bpf::Side from, int source, int target)
    : pair_(pair), from_(from), source_(source), target_(target) {}

SockmapDirection::Counts SockmapDirection::counts() {
  // The first reading counts for all: what is redirected after it is in none of the numbers.
  const uint64_t redirected = pair_.counters(from_).redirected;
  backlog_of(redirected);
  // What the verdict PASSed has come from the source whether or not we have read it. A socket outside of the
  // map has no verdict: there it counts when read.
  const uint64_t passed = std::max(pair_.counters(from_).passed, taken());
  // Urgent bytes were taken, so they are among those. User space writes when nothing waits, so what is placed
  // contains all that was copied; before the first look after a write it may be told too low.
  return {.received = redirected + passed - skipped_,
          .redirected = redirected,
          .sent = placed_,
          .redirected_sent = excess(placed_, copied())};
}

uint64_t SockmapDirection::unread() const { return excess(pair_.counters(from_).passed, taken()); }

SockmapDirection::Step SockmapDirection::lost(Step step, Error error) {
  error_ = std::move(error);
  return step;
}

SockmapDirection::Step SockmapDirection::unusable() {
  return lost(Step::kUnusable,
              Error{"a retransmitted segment could not be trimmed; the stream is unusable", EIO});
}

uint64_t SockmapDirection::backlog_of(uint64_t redirected) {
  const uint64_t wanted = redirected + copied();
  disturb("backlog");
  if (redirected == drained_at_) {  // seen before; what was written since went straight in
    placed_ = wanted;
    return 0;
  }
  // Each reading is a lower bound, so the highest is the best. It may count bytes that were redirected after
  // `wanted` was; no earlier reading can, since `wanted` never falls.
  if (const auto placed = pair_.placed(from_)) placed_ = std::max(placed_, std::min(*placed, wanted));
  if (placed_ == wanted) drained_at_ = redirected;
  return excess(wanted, placed_);
}

// As recv(), which of a socket in the map returns the urgent byte like any other.
ssize_t SockmapDirection::receive(std::span<char> into) {
  const uint64_t before = taken();
  const auto n = recv(source_, into.data(), into.size(), MSG_DONTWAIT);
  if (n <= 0 || !pair_.urgent(from_)) return n;
  const auto place = pair_.urgent_after(from_, before);
  if (!place || *place >= static_cast<size_t>(n)) return n;
  const auto bytes = into.first(static_cast<size_t>(n));
  std::copy(bytes.begin() + *place + 1, bytes.end(), bytes.begin() + *place);
  ++skipped_;
  pair_.publish(from_, 1);
  if (n > 1) return n - 1;
  errno = EINTR;  // there may be more
  return -1;
}

SockmapDirection::Step SockmapDirection::advance(std::span<char> scratch) {
  for (int reads = 0;; ++reads) {
    if (ended_) return Step::kEnded;
    if (!pending_.empty()) {
      if (const Step step = write_pending(); step != Step::kMore) return wait(step, scratch);
    }
    if (end_seen_) return finish();
    const bool expected = copies() || look_for_end_ || source_failed_ || more_passed();
    if (!expected) return Step::kIdle;
    if (reads == kReadsPerTurn) return Step::kMore;
    if (const Step step = read(scratch); step != Step::kMore) return step;
  }
}

// PASSed bytes that had to queue behind a backlog are charged to the socket only when they come out, and can
// then be more than its receive buffer holds. TCP then ignores whatever arrives, acknowledgements for the
// other direction included, which comes to a crawl although its reader reads. So the excess is taken over
// into our own memory: it was let in already, and this costs no more than leaving it where it is.
SockmapDirection::Step SockmapDirection::wait(Step step, std::span<char> scratch) {
  if (unread() < 2 * kReceiveQueueBytes) return step;
  while (unread() > kReceiveQueueBytes) {
    const auto n = receive(scratch);
    if (n < 0 && errno != EAGAIN && errno != EINTR && !source_failed_)
      return lost(Step::kSourceLost, os_error("receiving"));
    if (n <= 0) break;
    if (pair_.broken(from_)) return unusable();
    pending_.erase(pending_.begin(),
                   pending_.begin() + static_cast<ptrdiff_t>(std::exchange(pending_done_, 0)));
    pending_.insert(pending_.end(), scratch.begin(), scratch.begin() + n);
  }
  return step;
}

SockmapDirection::Step SockmapDirection::read(std::span<char> scratch) {
  const auto n = receive(scratch);
  disturb("received");
  if (n > 0) {
    if (pair_.broken(from_)) return unusable();
    const auto bytes = std::span<const char>(scratch).first(static_cast<size_t>(n));
    if (backlog_drained()) return write(bytes);
    pending_.assign(bytes.begin(), bytes.end());
    return Step::kSoon;
  }
  if (n < 0 && errno == EINTR) return Step::kMore;
  // After a failure 0 is no end of stream, and an error only says again that it has failed.
  if (source_failed_) return more_passed() || !backlog_drained() ? Step::kSoon : Step::kDrained;
  if (n == 0) {
    // 0 with PASSed bytes outstanding is not the end: they wait behind what was redirected to this socket.
    if (more_passed()) return Step::kSoon;
    // Nor is it when the source was reset and the worker that writes to it has taken the error.
    if (!source_shut_down_ && closed_by_tcp(source_))
      return lost(Step::kSourceLost, os_error("receiving", ECONNRESET));
    end_seen_ = true;
    return Step::kMore;
  }
  if (errno == EAGAIN) {
    if (look_for_end_) return Step::kSoon;
    return more_passed() || copies() ? Step::kInput : Step::kIdle;
  }
  return lost(Step::kSourceLost, os_error("receiving"));
}

SockmapDirection::Step SockmapDirection::write(std::span<const char> bytes) {
  const Step step = send_from(bytes);
  if (step == Step::kOutput) pending_.assign(bytes.begin(), bytes.end());
  return step;
}

SockmapDirection::Step SockmapDirection::write_pending() {
  if (!backlog_drained()) return Step::kSoon;
  auto rest = std::span<const char>(pending_).subspan(pending_done_);
  const Step step = send_from(rest);
  pending_done_ = pending_.size() - rest.size();
  if (step == Step::kMore) {
    pending_ = {};  // the memory too: most flows never need it again
    pending_done_ = 0;
  }
  return step;
}

// Sends from the front of `bytes`, which is shortened by what was taken.
SockmapDirection::Step SockmapDirection::send_from(std::span<const char>& bytes) {
  while (!bytes.empty()) {
    disturb("send");
    const auto n = send(target_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return Step::kOutput;
    if (n < 0) return lost(Step::kTargetLost, os_error("sending"));
    bytes = bytes.subspan(static_cast<size_t>(n));
    written_ += static_cast<size_t>(n);
  }
  // Only now may the verdict redirect again: every byte before the next segment is in the send queue.
  pair_.publish(from_, std::exchange(written_, 0));
  return Step::kMore;
}

SockmapDirection::Step SockmapDirection::finish() {
  // FIN overtakes the backlog: shut down too early, the peer would see a clean end with bytes missing.
  if (!backlog_drained()) return Step::kSoon;
  disturb("shutdown");
  // ENOTCONN: the target's peer has reset it in this very moment.
  if (shutdown(target_, SHUT_WR) != 0) return lost(Step::kTargetLost, os_error("shutting down"));
  ended_ = true;
  return Step::kEnded;
}

}  // namespace sockmesh::datapath
