#include "datapath/epoll_relay.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/disturb.h"
#include "datapath/flow_sockets.h"

namespace sockmesh::datapath {

namespace {

constexpr size_t kScratchSize = 256 * 1024;
// What one direction may move before the loop looks at other flows again.
constexpr size_t kTurnBytes = 1 << 20;

// One buffer for all flows of a thread: nothing stays in it between two calls.
std::byte* scratch() {
  thread_local const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kScratchSize);
  return buffer.get();
}

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

void EpollRelay::Pending::drop(size_t count) {
  begin_ += count;
  if (!empty()) return;
  bytes_ = {};  // the memory too: the next stall may be an hour away
  begin_ = 0;
}

EpollRelay::EpollRelay(event::Loop& loop, LateResets& late, Pair sockets, const RelayOptions& options,
                       Done done)
    : UserFlow(loop, late, std::move(sockets), options, Lane::kEpoll, std::move(done)),
      read_limit_(std::clamp<size_t>(options.buffer_limit, 1, kScratchSize)) {
  update_watch(Side::kDownstream);
  update_watch(Side::kUpstream);
}

// --- events ---

void EpollRelay::ready(Side side, uint32_t events) {
  const uint32_t wanted = wanted_[index(side)];
  if (wanted == 0) {
    // We wait for the other side, so only an error or a hang-up can have come. A hang-up alone, both
    // directions of the socket shut down, is nothing new and would be reported for ever.
    socket(side).unwatch();
    if (events & EPOLLERR) fail(side, take_socket_error(fd(side)));
    return;
  }
  // One of the two; what is left is reported again, level-triggered.
  const bool writable = (wanted & EPOLLOUT) && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP));
  move(writable ? other(side) : side);
}

void EpollRelay::move(Side from) {
  Moved moved = flush(from);
  if (!moved.failed) moved = copy(from);
  if (moved.failed) return fail(*moved.failed, moved.error);
  settle();
}

EpollRelay::Moved EpollRelay::flush(Side from) {
  Pending& waiting = pending(from);
  if (waiting.empty() || !ends().moves(from)) return {};
  const ssize_t count = send(fd(other(from)), waiting.data(), waiting.size(), MSG_NOSIGNAL);
  if (count < 0) return would_block(errno) ? Moved{} : Moved{other(from), errno};
  sent(other(from), static_cast<size_t>(count));
  waiting.drop(static_cast<size_t>(count));
  return {};
}

EpollRelay::Moved EpollRelay::copy(Side from) {
  const Side to = other(from);
  size_t budget = kTurnBytes;
  while (ends().reads(from) && pending(from).empty()) {
    const ssize_t count = recv(fd(from), scratch(), read_limit_, 0);
    disturb("received");
    if (count < 0) return would_block(errno) ? Moved{} : Moved{from, errno};
    if (count == 0) {
      // After a failure this is no end of stream: the call that failed took the error with it.
      if (!broken_[index(from)]) ends().end(from);
      break;
    }
    const auto size = static_cast<size_t>(count);
    received(from, size);
    const ssize_t taken = send(fd(to), scratch(), size, MSG_NOSIGNAL);
    if (taken < 0 && !would_block(errno)) return {to, errno};
    const auto gone = static_cast<size_t>(std::max<ssize_t>(taken, 0));
    if (gone > 0) sent(to, gone);
    if (gone < size) pending(from).keep(scratch() + gone, size - gone);
    // Less than asked for: the socket was empty, and asking again would only say so.
    if (size < read_limit_ || size >= budget) break;
    budget -= size;
  }
  return {};
}

// --- ends ---

void EpollRelay::fail(Side side, int error) {
  socket(side).unwatch();
  broken_[index(side)] = true;
  disturb("failed");
  // What it sent before it failed is still to be had: a server that answers and closes with the request
  // unread sends its answer and then RST.
  if (!flush(side).failed) copy(side);
  ends().fail(side, !pending(side).empty(), std::strerror(error));
  settle();
}

void EpollRelay::settle() {
  for (const Side from : {Side::kDownstream, Side::kUpstream}) {
    if (!ends().ended(from) || !pending(from).empty() || !ends().moves(from)) continue;
    disturb("shutdown");
    shutdown(fd(other(from)), SHUT_WR);
    ends().pass_on(from);
  }
  if (ends().over()) return conclude();
  if (handing_over()) {
    if (ends().half_closed()) {
      if (!refuse_hand_over()) return;
    } else if (!holding()) {
      stop_watching();
      return hand_over_now();
    }
  }
  update_watch(Side::kDownstream);
  update_watch(Side::kUpstream);
}

void EpollRelay::update_watch(Side side) {
  const bool reads = ends().reads(side) && pending(side).empty() && !handing_over();
  const bool writes = ends().moves(other(side)) && !pending(other(side)).empty();
  const uint32_t wanted = (reads ? EPOLLIN : 0u) | (writes ? EPOLLOUT : 0u);
  wanted_[index(side)] = wanted;
  if (socket(side).watched()) {
    socket(side).set_events(wanted);
  } else if (wanted != 0) {
    socket(side).watch(loop(), wanted, [this, side](uint32_t events) { ready(side, events); });
  }
}

void EpollRelay::conclude() {
  stop_watching();
  tell_outcome();
}

void EpollRelay::expired(CloseReason reason) {
  ends().stop(reason, holding());
  conclude();
}

void EpollRelay::abort() {
  if (ends().over() || !has_sockets()) return;
  ends().stop(CloseReason::kAborted, true);
  stop_watching();
  stop_timers();
  // Not from within the call: whoever aborts many flows goes through a list that `done` changes.
  soon_ = loop().timer([this] { conclude(); });
  soon_->set(Duration::zero());
}

void EpollRelay::hand_over(std::function<void(std::optional<Handover>)> taken) {
  if (ends().over() || ends().half_closed() || handing_over() || !has_sockets()) return taken(std::nullopt);
  begin_hand_over(std::move(taken));
  settle();
}

}  // namespace sockmesh::datapath
