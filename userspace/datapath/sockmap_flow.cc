// Waits for what the two directions need, and ends them together.
#include "datapath/sockmap_flow.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/disturb.h"
#include "datapath/flow_sockets.h"
#include "datapath/socket_bounds.h"
#include "datapath/sockmap_lane.h"

namespace sockmesh::datapath {

namespace {

constexpr Duration kSoon = std::chrono::milliseconds(1);
// So long the bytes of a failed socket may take to come out when they may be lost: see patience().
constexpr Duration kHopeless = std::chrono::seconds(1);

constexpr Side kSides[] = {Side::kDownstream, Side::kUpstream};

bool writable(int socket) {
  pollfd fd{socket, POLLOUT, 0};
  return poll(&fd, 1, 0) == 1 && (fd.revents & POLLOUT);
}

}  // namespace

SockmapFlow::SockmapFlow(SockmapLane& lane, Pair sockets, Inserted inserted, Ended ended)
    : lane_(lane),
      sockets_{event::WatchedFd(std::move(sockets.downstream)),
               event::WatchedFd(std::move(sockets.upstream))},
      pair_(std::move(inserted.pair)),
      copied_because_(std::move(inserted.copied_because)),
      ended_(std::move(ended)),
      directions_{
          SockmapDirection(*pair_, Side::kDownstream, socket(Side::kDownstream), socket(Side::kUpstream)),
          SockmapDirection(*pair_, Side::kUpstream, socket(Side::kUpstream), socket(Side::kDownstream))},
      failed_early_(std::move(inserted.failed)),
      soon_(lane.loop().timer([this] { run(); })) {
  lane_.add(*this, pair_->slot(Side::kDownstream), pair_->slot(Side::kUpstream));
}

SockmapFlow::~SockmapFlow() {
  ends_.stop(CloseReason::kAborted, true);
  release(ends_);
}

void SockmapFlow::start() {
  for (const Side side : kSides) {
    watched(side).events = EPOLLRDHUP;
    owned(side).watch(lane_.loop(), EPOLLRDHUP, [this, side](uint32_t events) { on_ready(side, events); });
  }
  // What was PASSed between the insertion and arming was told to nobody.
  soon_->set(Duration{});
}

void SockmapFlow::on_ready(Side side, uint32_t events) {
  if (events & (EPOLLRDHUP | EPOLLHUP)) direction(side).source_has_ended();
  if (events & EPOLLHUP) {
    watched(side).hung_up = true;
    owned(side).unwatch();
  }
  if (events & EPOLLERR) {
    disturb("failed");
    if (const int error = take_socket_error(socket(side))) {
      // TCP never puts EPIPE on a socket that still lives; a redirected FIN does (bpf/README.md). Seen once,
      // lane 1 cannot be trusted on this kernel.
      if (error == EPIPE && !closed_by_tcp(socket(side)))
        lane_.maps().disable("EPIPE on a socket that was not shut down");
      return lost(side, os_error("the connection", error));
    }
  }
  // The worker that writes to a reset socket takes its error, and puts it back a moment later: in between
  // there is none.
  if ((events & EPOLLHUP) && !direction(other(side)).ended() && closed_by_tcp(socket(side)))
    return lost(side, os_error("the connection", ECONNRESET));
  run();
}

void SockmapFlow::look() { run(); }

void SockmapFlow::redirect(bool wanted) {
  if (!copied_because_.empty() || wanted == pair_->armed()) return;
  if (wanted)
    pair_->arm();
  else
    pair_->disarm();
  soon_->set(Duration{});  // to watch for what is needed now, and to see what was PASSed meanwhile
}

void SockmapFlow::run() {
  for (const Side side : kSides)
    if (const auto error = std::exchange(failed_early_[index(side)], std::nullopt)) return lost(side, *error);
  const auto scratch = lane_.scratch();
  std::array<Step, 2> steps{Step::kEnded, Step::kEnded};
  for (const Side from : kSides) {
    if (failed_ && failed_->side == other(from)) continue;  // its bytes have nowhere to go
    SockmapDirection& own = direction(from);
    const Step step = steps[index(from)] = own.advance(scratch);
    if (step == Step::kSourceLost) return lost(from, own.error());
    if (step == Step::kTargetLost) return lost(other(from), own.error());
    if (step == Step::kUnusable) {
      ends_.fail(from, false, own.error().message);
      return finish("");
    }
    if (own.end_seen()) ends_.end(from);
    if (own.ended()) {
      ends_.pass_on(from);
      direction(other(from)).source_was_shut_down();
    }
    if (pair_->urgent(from) && copied_because_.empty()) {
      redirect(false);
      copied_because_ = "the flow has sent urgent data";
    }
  }
  if (failed_) pass_on_rest(steps[index(failed_->side)]);
  if (ends_.over()) return finish("");
  wait_for(steps[0], steps[1]);
}

// A server that answers and closes with the request unread sends its answer and then RST: the answer is
// passed on, as far as the other side takes it at once, and then the RST. After a FIN it is waited for.
void SockmapFlow::pass_on_rest(Step step) {
  if (ends_.failed(failed_->side)) return;
  const SockmapDirection& own = direction(failed_->side);
  const bool still_coming = step == Step::kSoon || step == Step::kMore;
  if (still_coming && !own.end_seen() && lane_.loop().now() - failed_->since < patience()) return;
  ends_.fail(failed_->side, !own.ended(), failed_->error);
}

// What was redirected towards the failed socket stays in its queue for ever, and what it PASSed behind that
// is lost with it, which the kernel does not tell. What it had redirected before comes out, however late the
// other socket's worker is.
Duration SockmapFlow::patience() {
  const bool hopeless =
      direction(failed_->side).unread() > 0 && direction(other(failed_->side)).backlog() > 0;
  return hopeless ? kHopeless : lane_.limits().stuck;
}

void SockmapFlow::wait_for(Step down, Step up) {
  bool soon = down == Step::kSoon || up == Step::kSoon;
  for (const Side side : kSides) {
    Watched& own = watched(side);
    const Step from_here = side == Side::kDownstream ? down : up;
    const Step to_here = side == Side::kDownstream ? up : down;
    uint32_t events = 0;
    // Without a ring nobody tells that PASSing began, but the socket's readiness does.
    const bool unannounced = from_here == Step::kIdle && lane_.ring() == SPLICE_NO_RING;
    if (from_here == Step::kInput || from_here == Step::kMore || unannounced) events |= EPOLLIN;
    if (!direction(side).looks_for_end()) events |= EPOLLRDHUP;  // level-triggered, so once is enough
    if (to_here == Step::kOutput) events |= EPOLLOUT;
    if (own.hung_up) {
      soon = soon || (events & (EPOLLIN | EPOLLOUT));
    } else if (events != own.events) {
      own.events = events;
      owned(side).set_events(events);
    }
  }
  if (soon) soon_->set(kSoon);
}

Progress SockmapFlow::progress() {
  SockmapDirection& down = direction(Side::kDownstream);
  SockmapDirection& up = direction(Side::kUpstream);
  const auto from_client = down.counts(), from_server = up.counts();
  const Lane copying = copying_lane(lane_.loop().backend());
  Progress progress;
  // Parts of the same readings: no difference falls below zero.
  progress.moved[Lane::kSkSkb] = {from_client.redirected, from_server.redirected_sent};
  progress.moved[copying] = {from_client.received - from_client.redirected,
                             from_server.sent - from_server.redirected_sent};
  progress.lane = redirecting() && lane_.enabled() ? Lane::kSkSkb : copying;
  progress.downstream_closed = down.end_seen();
  progress.upstream_closed = up.end_seen();
  return progress;
}

SockmapFlow::Health SockmapFlow::health() {
  uint64_t backlog = 0;
  bool stuck = false;
  for (const Side from : kSides) {
    if (failed_ && failed_->side == other(from)) continue;  // never to be written
    Watched& target = watched(other(from));
    const uint64_t waiting = direction(from).backlog();
    const uint64_t placed = waiting ? pair_->placed(from).value_or(0) : 0;
    if (waiting == 0 || target.backlog == 0 || placed != target.placed)
      target.stuck_since = lane_.loop().now();
    else
      wake_writer(socket(other(from)));  // seen under load: a backlog, a writable socket, and no worker
    target.backlog = waiting;
    target.placed = placed;
    backlog += waiting;
    stuck |= lane_.loop().now() - target.stuck_since > lane_.limits().stuck && writable(socket(other(from)));
  }
  const uint64_t sum = gauge(backlog);
  if (stuck) return Health::kStuck;
  return backlog > 0 && sum > lane_.limits().backlog_bytes ? Health::kOverBudget : Health::kFine;
}

// Our share in the sum of all flows: what we add now and take away later is the same number.
uint64_t SockmapFlow::gauge(uint64_t backlog) {
  auto& all = lane_.maps().gauges().backlog_bytes;
  const uint64_t before = std::exchange(gauge_backlog_, backlog);
  return backlog >= before ? all += backlog - before : all -= before - backlog;
}

void SockmapFlow::lost(Side side, const Error& error) {
  if (!failed_) {
    failed_ = Failed{side, error.message, lane_.loop().now()};
    direction(side).source_has_failed();
  } else if (failed_->side != side) {
    ends_.fail(failed_->side, false, failed_->error);
    ends_.fail(side, false, error.message);
    return finish("");
  }
  run();
}

void SockmapFlow::close(CloseReason reason, std::string detail) {
  if (failed_) ends_.fail(failed_->side, false, failed_->error);
  // From here on the kernel redirects nothing more, except behind a backlog; and while there is one this is
  // no orderly end. Bytes that arrive between the look and the close are lost as if they had come after it.
  pair_->disarm();
  disturb("close");
  ends_.stop(reason, direction(Side::kDownstream).holding() || direction(Side::kUpstream).holding());
  finish(std::move(detail));
}

void SockmapFlow::finish(std::string detail) {
  const Progress final = progress();
  disturb("finish");
  release(ends_);
  if (!ends_.error().empty()) detail = ends_.error();
  // May destroy this.
  std::exchange(ended_, nullptr)(ends_.reason(), std::move(detail), final);
}

// Sockets before slots: a slot may not be reused while its socket can still receive.
void SockmapFlow::release(const FlowEnds& how) {
  if (!pair_) return;
  soon_.reset();
  lane_.remove(pair_->slot(Side::kDownstream), pair_->slot(Side::kUpstream));
  gauge(0);
  pair_->disarm();
  for (const Side side : kSides) close_as(owned(side).release(), how.closing(side), lane_.late_resets());
  pair_.reset();
}

}  // namespace sockmesh::datapath
