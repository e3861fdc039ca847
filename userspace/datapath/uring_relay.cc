#include "datapath/uring_relay.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/disturb.h"
#include "datapath/flow_sockets.h"
#include "datapath/uring_queue.h"
#include "datapath/user_flow.h"
#include "event/uring_loop.h"

namespace sockmesh::datapath {

namespace {
// Pieces of one gathered send: what a multishot receive brings in a turn at most.
constexpr size_t kGather = event::BufferRing::kShortLine;
}  // namespace

// One direction's receive and send belong together with what waits between them:
//
//   socket --receive--> queue --send--> other socket
//
// The send takes what the socket takes at once. When that is not all, the direction is stuck: its receive is
// cancelled, a watch waits for the other socket to become writable, and then it goes on. So nothing is in
// flight for long but a receive, and that owns no memory.
class UringFlow final : public UserFlow, public std::enable_shared_from_this<UringFlow> {
 public:
  UringFlow(event::Loop& loop, LateResets& late, Pair sockets, const RelayOptions& options, Done done);

  void start() { settle(); }
  void abort();
  void hand_over(Taken taken);
  void orphan();  // the handle is gone

 private:
  struct Way;
  struct Receive final : event::UringOp {
    Receive(UringFlow& owner, Side side) : flow(owner), from(side) {}
    void complete(const event::Completion& completion) override {
      flow.guarded([&] { flow.arrived(from, completion); });
    }
    UringFlow& flow;
    const Side from;
  };
  struct Send final : event::UringOp {
    Send(UringFlow& owner, Side side) : flow(owner), from(side) {}
    void complete(const event::Completion& completion) override {
      flow.guarded([&] { flow.taken(from, completion.result); });
    }
    UringFlow& flow;
    const Side from;
  };
  struct Way {
    Way(UringFlow& flow, Side from, event::BufferRing& buffers)
        : receive(flow, from), send(flow, from), queue(buffers) {}
    Receive receive;
    Send send;
    ChunkQueue queue;
    std::array<iovec, kGather> pieces;
    msghdr message{};
    size_t sending = 0;    // bytes of the send in flight
    bool stuck = false;    // the other socket is full
    bool crowded = false;  // the queue was full; until it is half empty
    int broken = 0;  // error of the socket it receives from: the flow fails when the queue is empty or stuck
    bool drained = false;  // and nothing is left to read from it
  };

  template <typename Work>
  void guarded(Work work);
  void arrived(Side from, const event::Completion& completion);
  void taken(Side from, int32_t result);
  void writable_or_gone(Side side, uint32_t events);
  void expired(CloseReason reason) override;

  void settle();
  void settle_way(Side from);
  void start_send(Side from);
  void drain(Side from);
  void fail(Side side, int error);
  void conclude();
  void conclude_when_idle();
  void update_receive(Side from);
  void update_watch(Side side);

  Way& way(Side from) { return ways_[index(from)]; }
  bool holding() const { return !ways_[0].queue.empty() || !ways_[1].queue.empty(); }
  bool idle() const;  // the kernel has nothing of ours

  event::UringLoop& ring_;
  const size_t queue_limit_;  // bytes; what is on its way when it is reached still comes in
  std::array<Way, 2> ways_;   // by the side the bytes come from
  std::array<bool, 2> hung_up_{};
  std::unique_ptr<event::Timer> soon_;
  bool orphaned_ = false;
  bool told_ = false;
  std::shared_ptr<UringFlow> self_;  // while the kernel has something of ours
};

UringFlow::UringFlow(event::Loop& loop, LateResets& late, Pair sockets, const RelayOptions& options,
                     Done done)
    : UserFlow(loop, late, std::move(sockets), options, Lane::kIoUring, std::move(done)),
      ring_(*loop.uring()),
      queue_limit_(std::max<size_t>(options.buffer_limit / 2, 1)),
      ways_{Way(*this, Side::kDownstream, ring_.buffers()), Way(*this, Side::kUpstream, ring_.buffers())} {}

// --- completions ---

// Callbacks may drop the handle; the flow lives until the outermost of them returns.
template <typename Work>
void UringFlow::guarded(Work work) {
  const auto alive = shared_from_this();
  work();
  if (idle()) self_.reset();
}

bool UringFlow::idle() const {
  return std::none_of(ways_.begin(), ways_.end(),
                      [](const Way& w) { return w.receive.in_flight() || w.send.in_flight(); });
}

void UringFlow::arrived(Side from, const event::Completion& completion) {
  disturb("received");
  Way& w = way(from);
  if (completion.buffer >= 0) {
    const auto buffer = static_cast<uint16_t>(completion.buffer);
    if (completion.result > 0 && ends().moves(from)) {
      received(from, static_cast<size_t>(completion.result));
      w.queue.add(buffer, static_cast<size_t>(completion.result));
    } else {
      ring_.buffers().give_back(buffer);
    }
  }
  if (completion.last && completion.result == 0) {
    // After a failure this is no end of stream: the call that failed took the error with it.
    if (w.broken == 0) ends().end(from);
  } else if (completion.last && completion.result < 0) {
    const int error = -completion.result;
    const bool again = error == ECANCELED || error == ENOBUFS || error == EINTR;
    if (!again) {
      if (w.broken == 0) w.broken = error;
      w.drained = true;
    }
  }
  settle();
}

void UringFlow::taken(Side from, int32_t result) {
  disturb("sent");
  Way& w = way(from);
  if (result > 0) {
    const auto count = static_cast<size_t>(result);
    sent(other(from), count);
    w.queue.drop(count);
    w.stuck = count < w.sending;
  } else if (result == -EAGAIN) {
    w.stuck = true;
  } else if (result != -EINTR && result != -ECANCELED) {
    // What the failed side itself has sent is read and passed on first.
    if (way(other(from)).broken == 0) way(other(from)).broken = -result;
    w.queue.clear();
  }
  w.sending = 0;
  if (w.stuck && ring_.buffers().scarce()) w.queue.spill();
  settle();
}

void UringFlow::writable_or_gone(Side side, uint32_t events) {
  Way& towards = way(other(side));
  if (towards.stuck) {
    towards.stuck = false;  // if it is an error, sending will say which
    settle();
    return;
  }
  // An error, or a hang-up, which would be reported for ever: both directions of the socket are shut down.
  socket(side).unwatch();
  hung_up_[index(side)] = true;
  if (!(events & EPOLLERR)) return;
  Way& w = way(side);
  disturb("failed");
  const int error = take_socket_error(fd(side));  // 0: a call in flight has taken it
  if (w.broken == 0) w.broken = error != 0 ? error : ECONNRESET;
  settle();
}

// --- what to do next ---

void UringFlow::settle() {
  if (told_) return;
  if (ends().over()) return conclude_when_idle();
  settle_way(Side::kDownstream);
  if (!ends().over()) settle_way(Side::kUpstream);
  if (ends().over()) return conclude();
  for (const Side side : {Side::kDownstream, Side::kUpstream}) update_receive(side);
  if (handing_over()) {
    if (ends().half_closed()) {
      if (!refuse_hand_over()) return;
      for (const Side side : {Side::kDownstream, Side::kUpstream}) update_receive(side);
    } else if (idle() && !holding()) {
      stop_watching();
      told_ = true;
      return hand_over_now();
    }
  }
  for (const Side side : {Side::kDownstream, Side::kUpstream}) update_watch(side);
}

void UringFlow::settle_way(Side from) {
  Way& w = way(from);
  if (w.send.in_flight()) return;
  const bool broken = w.broken != 0 && !w.receive.in_flight() && !ends().failed(from);
  if (broken && !w.drained) drain(from);
  if (!w.queue.empty() && !w.stuck && ends().moves(from)) return start_send(from);
  if (broken) return fail(from, w.broken);
  if (w.queue.empty() && ends().ended(from) && ends().moves(from)) {
    disturb("shutdown");
    shutdown(fd(other(from)), SHUT_WR);
    ends().pass_on(from);
  }
}

// What a failed socket still has to give: a server that answers and closes with the request unread sends its
// answer and then RST.
void UringFlow::drain(Side from) {
  Way& w = way(from);
  w.drained = true;
  w.queue.spill();
  std::array<std::byte, 16 * 1024> bytes;
  while (ends().reads(from) && !w.stuck && w.queue.size() < queue_limit_) {
    const ssize_t count = recv(fd(from), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (count <= 0) return;
    received(from, static_cast<size_t>(count));
    w.queue.add_copy(std::span(bytes).first(static_cast<size_t>(count)));
  }
}

void UringFlow::start_send(Side from) {
  Way& w = way(from);
  const size_t count = w.queue.gather(w.pieces, w.sending);
  if (!self_) self_ = shared_from_this();
  if (count == 1) {
    ring_.send_now(w.send, fd(other(from)), static_cast<const std::byte*>(w.pieces[0].iov_base), w.sending);
  } else {
    w.message = {};
    w.message.msg_iov = w.pieces.data();
    w.message.msg_iovlen = count;
    ring_.send_now(w.send, fd(other(from)), w.message);
  }
}

void UringFlow::update_receive(Side from) {
  Way& w = way(from);
  const size_t waiting = w.queue.size();
  w.crowded = waiting >= queue_limit_ || (w.crowded && waiting > queue_limit_ / 2);
  const bool wanted = ends().reads(from) && w.broken == 0 && !w.stuck && !w.crowded && !handing_over();
  if (wanted && !w.receive.in_flight()) {
    if (!self_) self_ = shared_from_this();
    ring_.receive_multishot(w.receive, fd(from));
  } else if (!wanted) {
    ring_.cancel(w.receive);
  }
}

void UringFlow::update_watch(Side side) {
  const bool full = way(other(side)).stuck && ends().moves(other(side));
  if (hung_up_[index(side)] && !full) return socket(side).unwatch();
  const uint32_t wanted = full ? EPOLLOUT : 0u;
  if (socket(side).watched()) {
    socket(side).set_events(wanted);
  } else {
    socket(side).watch(loop(), wanted,
                       [this, side](uint32_t events) { guarded([&] { writable_or_gone(side, events); }); });
  }
}

// --- ends ---

void UringFlow::fail(Side side, int error) {
  way(side).broken = error;
  ends().fail(side, !way(side).queue.empty(), std::strerror(error));
  ends().over() ? conclude() : settle();
}

void UringFlow::conclude() {
  stop_watching();
  stop_timers();
  for (Way& w : ways_) {
    ring_.cancel(w.receive);
    ring_.cancel(w.send);
  }
  conclude_when_idle();
}

void UringFlow::conclude_when_idle() {
  if (!idle() || told_) return;
  told_ = true;
  for (Way& w : ways_) w.queue.clear();
  if (!orphaned_) tell_outcome();
}

void UringFlow::expired(CloseReason reason) {
  guarded([&] {
    ends().stop(reason, holding());
    conclude();
  });
}

void UringFlow::abort() {
  if (ends().over() || !has_sockets()) return;
  ends().stop(CloseReason::kAborted, true);
  stop_watching();
  stop_timers();
  // Not from within the call: whoever aborts many flows goes through a list that `done` changes.
  soon_ = loop().timer([this] { guarded([&] { conclude(); }); });
  soon_->set(Duration::zero());
}

void UringFlow::hand_over(Taken taken) {
  if (ends().over() || ends().half_closed() || handing_over() || !has_sockets()) return taken(std::nullopt);
  begin_hand_over(std::move(taken));
  guarded([&] { settle(); });
}

void UringFlow::orphan() {
  orphaned_ = true;
  soon_.reset();
  if (!ends().over()) ends().stop(CloseReason::kAborted, true);
  conclude();
}

// --- the handle ---

UringRelay::UringRelay(event::Loop& loop, LateResets& late, Pair sockets, const RelayOptions& options,
                       Done done)
    : flow_(std::make_shared<UringFlow>(loop, late, std::move(sockets), options, std::move(done))) {
  flow_->start();
}

UringRelay::~UringRelay() { flow_->orphan(); }

Progress UringRelay::progress() { return flow_->progress(); }
void UringRelay::abort() { flow_->abort(); }
void UringRelay::hand_over(std::function<void(std::optional<Handover>)> taken) {
  flow_->hand_over(std::move(taken));
}

}  // namespace sockmesh::datapath
