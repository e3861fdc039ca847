// Waits for what the two directions need, and ends them together.
#include "datapath/sockmap_flow.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "datapath/sockmap_lane.h"

namespace sockmesh::datapath {

using bpf::Side;

namespace {

constexpr Duration kSoon = std::chrono::milliseconds(1);
// A worker that has bytes and a writable socket needs microseconds, but a machine that is loaded ten times over can
// withhold the processor from it for seconds. Waiting costs time, a reset costs a connection: so long enough to be sure.
constexpr Duration kStuck = std::chrono::seconds(30);
// Redirected bytes of all flows that may wait for workers. A flow that would add to more copies instead.
constexpr uint64_t kBacklogBudget = 256u << 20;

constexpr Side kSides[] = {Side::kDownstream, Side::kUpstream};

int socket_error(int socket) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

bool closed_by_tcp(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  return getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_state == TCP_CLOSE;
}

bool writable(int socket) {
  pollfd fd{socket, POLLOUT, 0};
  return poll(&fd, 1, 0) == 1 && (fd.revents & POLLOUT);
}

}  // namespace

SockmapFlow::SockmapFlow(SockmapLane& lane, Pair sockets, Inserted inserted, Ended ended)
    : lane_(lane),
      sockets_(std::move(sockets)),
      pair_(std::move(inserted.pair)),
      copied_because_(std::move(inserted.copied_because)),
      ended_(std::move(ended)),
      directions_{
          SockmapDirection(*pair_, Side::kDownstream, sockets_.downstream.get(), sockets_.upstream.get()),
          SockmapDirection(*pair_, Side::kUpstream, sockets_.upstream.get(), sockets_.downstream.get())},
      soon_(lane.loop().timer([this] { run(); })) {
  lane_.add(*this, pair_->slot(Side::kDownstream), pair_->slot(Side::kUpstream));
}

SockmapFlow::~SockmapFlow() { release(); }

int SockmapFlow::socket(Side side) const {
  return side == Side::kDownstream ? sockets_.downstream.get() : sockets_.upstream.get();
}

void SockmapFlow::start() {
  for (const Side side : kSides) {
    Watched& own = watched(side);
    own.events = EPOLLRDHUP;
    own.watch = lane_.loop().watch(socket(side), own.events,
                                   [this, side](uint32_t events) { on_ready(side, events); });
  }
  // What was PASSed between the insertion and arming was told to nobody.
  soon_->set(Duration{});
}

void SockmapFlow::on_ready(Side side, uint32_t events) {
  if (events & EPOLLERR) {
    if (const int error = socket_error(socket(side))) {
      // TCP never puts EPIPE on a socket that still lives; a redirected FIN does (bpf/README.md). Seen once,
      // lane 1 cannot be trusted on this kernel.
      if (error == EPIPE && !closed_by_tcp(socket(side)))
        lane_.maps().disable("EPIPE on a socket that was not shut down");
      return lost(side, os_error("the connection", error));
    }
  }
  if (events & (EPOLLRDHUP | EPOLLHUP)) direction(side).source_has_ended();
  if (events & EPOLLHUP) {
    watched(side).hung_up = true;
    watched(side).watch.reset();
  }
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
  const auto scratch = lane_.scratch();
  Step steps[2];
  for (const Side from : kSides) {
    SockmapDirection& own = direction(from);
    const Step step = steps[static_cast<size_t>(from)] = own.advance(scratch);
    if (step == Step::kSourceLost) return lost(from, own.error());
    if (step == Step::kTargetLost) return lost(other(from), own.error());
  }
  if (steps[0] == Step::kEnded && steps[1] == Step::kEnded) return finish(CloseReason::kFinished, "");
  wait_for(steps[0], steps[1]);
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
      own.watch->set_events(events);
    }
  }
  if (soon) soon_->set(kSoon);
}

SockmapFlow::Totals SockmapFlow::totals() {
  SockmapDirection& down = direction(Side::kDownstream);
  SockmapDirection& up = direction(Side::kUpstream);
  const uint64_t backlog = up.backlog();
  return {.received = down.received(),
          .sent = up.spliced() + up.copied() - backlog,
          .spliced_received = down.spliced(),
          .spliced_sent = up.spliced() - std::min(backlog, up.spliced()),
          .downstream_closed = down.end_seen(),
          .upstream_closed = up.end_seen()};
}

bool SockmapFlow::stuck() {
  uint64_t backlog = 0;
  bool stuck = false;
  for (const Side from : kSides) {
    Watched& target = watched(other(from));
    const uint64_t waiting = direction(from).backlog();
    const uint64_t placed = waiting ? pair_->placed(from).value_or(0) : 0;
    if (waiting == 0 || target.backlog == 0 || placed != target.placed)
      target.stuck_since = lane_.loop().now();
    target.backlog = waiting;
    target.placed = placed;
    backlog += waiting;
    stuck |= lane_.loop().now() - target.stuck_since > kStuck && writable(socket(other(from)));
  }
  auto& all = lane_.maps().gauges().backlog_bytes;
  const uint64_t sum = all += backlog - gauge_backlog_;
  gauge_backlog_ = backlog;
  if (backlog > 0 && sum > kBacklogBudget) redirect(false);
  return stuck;
}

void SockmapFlow::lost(Side side, const Error& error) {
  finish(side == Side::kDownstream ? CloseReason::kDownstreamReset : CloseReason::kUpstreamReset,
         error.message);
}

void SockmapFlow::close(CloseReason reason, std::string detail) { finish(reason, std::move(detail)); }

void SockmapFlow::finish(CloseReason reason, std::string detail) {
  const Totals final = totals();
  if (reason == CloseReason::kFinished)
    for (const Side side : kSides) bpf::reset_on_close(socket(side), false);
  release();
  // May destroy this.
  std::exchange(ended_, nullptr)(reason, std::move(detail), final);
}

// Sockets before slots: a slot may not be reused while its socket can still receive. SO_LINGER{1,0} is set
// unless the flow came to its proper end, so close() sends RST both ways.
void SockmapFlow::release() {
  if (!pair_) return;
  for (Watched& own : watched_) own.watch.reset();
  soon_.reset();
  lane_.remove(pair_->slot(Side::kDownstream), pair_->slot(Side::kUpstream));
  lane_.maps().gauges().backlog_bytes -= gauge_backlog_;
  pair_->disarm();
  sockets_.downstream.reset();
  sockets_.upstream.reset();
  pair_.reset();
}

}  // namespace sockmesh::datapath
