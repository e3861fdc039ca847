// The changes of lane, the adding up of what was moved in each, and the times that hold across them.
#include "datapath/sockmap_relay.h"

#include <algorithm>

#include "base/arithmetic.h"
#include "base/disturb.h"
#include "base/tcp_socket.h"
#include "datapath/sockmap_flow.h"

namespace sockmesh::datapath {

namespace {

// How often a flow is looked at: to classify its traffic while that may change its lane, to notice that it is
// idle or stuck afterwards. A silent flow is looked at less and less often.
constexpr Duration kFirstLook = std::chrono::milliseconds(20);
constexpr Duration kBusyLook = std::chrono::milliseconds(100);
constexpr Duration kRarestLook = std::chrono::seconds(4);

// A send queue that a reader who keeps up does not leave behind: 2 ms at a Gbit/s.
constexpr int kPiledUp = 256 * 1024;

// One flow's share in a number of flows of the process: bulk transfers, busy exchanges.
class FlowMark {
 public:
  explicit FlowMark(std::atomic<uint32_t>& flows) : flows_(flows) {}
  FlowMark(const FlowMark&) = delete;
  FlowMark& operator=(const FlowMark&) = delete;
  ~FlowMark() { set(false); }
  void set(bool counted) {
    if (counted != set_) counted ? ++flows_ : --flows_;
    set_ = counted;
  }

 private:
  std::atomic<uint32_t>& flows_;
  bool set_ = false;
};

// What a stage of the flow adds to the stages before it.
void add(Progress& all, const Progress& part) {
  all.moved += part.moved;
  all.lane = part.lane;
  all.downstream_closed |= part.downstream_closed;
  all.upstream_closed |= part.upstream_closed;
}

class SockmapRelay final : public Relay {
 public:
  SockmapRelay(SockmapLane& lane, MakeUserRelay make_user_relay, SpliceWish wish, const RelayOptions& options,
               Done done);
  void start(Pair sockets);
  Progress progress() override;
  void abort() override;

 private:
  void copy(Pair sockets, std::string reason);  // in lane 0
  void splice(Pair sockets);
  void on_handed_over(std::optional<Handover> handover);
  void on_look();
  bool held_up(const model::Bytes& total, uint64_t redirected) const;
  void look_again(bool silent);
  void finish(CloseReason reason, std::string detail);
  Duration left() const;  // of max_duration; only when there is one

  SockmapLane& lane_;
  const MakeUserRelay make_user_relay_;
  const SpliceWish wish_;
  const RelayOptions options_;
  Done done_;
  const MonotonicTime started_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();

  // At most one of them.
  std::unique_ptr<UserRelay> user_;
  std::unique_ptr<SockmapFlow> flow_;
  bool handing_over_ = false;
  bool splice_tried_ = false;  // a flow is handed over once; what comes back stays

  // While user_ is there they are open: it tells before it closes them.
  int downstream_ = -1, upstream_ = -1;

  Progress before_;     // moved in earlier stages
  std::string reason_;  // of the present lane
  TrafficSample last_total_;
  uint64_t last_redirected_ = 0;
  MonotonicTime last_look_, last_change_;
  Duration look_interval_ = kFirstLook;
  FlowMark bulk_, busy_;
  CountedFlow counted_;
  std::unique_ptr<event::Timer> look_;
};

SockmapRelay::SockmapRelay(SockmapLane& lane, MakeUserRelay make_user_relay, SpliceWish wish,
                           const RelayOptions& options, Done done)
    : lane_(lane),
      make_user_relay_(std::move(make_user_relay)),
      wish_(wish),
      options_(options),
      done_(std::move(done)),
      started_(monotonic_now()),
      last_look_(started_),
      last_change_(started_),
      bulk_(lane.maps().gauges().bulk_flows),
      busy_(lane.maps().gauges().busy_flows),
      counted_(lane.counters()),
      look_(lane.loop().timer([this] { on_look(); })) {}

void SockmapRelay::start(Pair sockets) {
  if (disturbed(wish_ == SpliceWish::kAlways) && lane_.enabled())
    splice(std::move(sockets));
  else
    copy(std::move(sockets),
         lane_.enabled() ? "too young to tell whether splicing pays" : lane_.disabled_text());
  look_->set(disturbed(kFirstLook));
}

Duration SockmapRelay::left() const {
  return std::max<Duration>(started_ + options_.max_duration - monotonic_now(), std::chrono::milliseconds(1));
}

void SockmapRelay::copy(Pair sockets, std::string reason) {
  reason_ = std::move(reason);
  downstream_ = sockets.downstream.get();
  upstream_ = sockets.upstream.get();
  RelayOptions options = options_;
  if (options.max_duration != Duration{}) options.max_duration = left();
  counted_.enter(copying_lane(lane_.loop().backend()));
  user_ = make_user_relay_(std::move(sockets), options, [this](const Outcome& outcome) {
    add(before_, outcome.progress);
    user_.reset();
    finish(outcome.reason, outcome.detail);
  });
}

void SockmapRelay::splice(Pair sockets) {
  splice_tried_ = true;
  auto inserted = insert_into_sockmap(lane_.maps(), sockets, lane_.ring(), lane_.enabled());
  if (!inserted) {
    counted_.refused_by(Lane::kSkSkb);
    return copy(std::move(sockets), "not spliced: " + inserted.error().message);
  }
  const bool late = !inserted->copied_because.empty();
  if (late) counted_.refused_by(Lane::kSkSkb);
  counted_.enter(late ? copying_lane(lane_.loop().backend()) : Lane::kSkSkb);
  reason_ = late ? "copied: " + inserted->copied_because : "spliced: an established flow";
  flow_ =
      std::make_unique<SockmapFlow>(lane_, std::move(sockets), std::move(*inserted),
                                    [this](CloseReason reason, std::string detail, const Progress& progress) {
                                      add(before_, progress);
                                      flow_.reset();
                                      finish(reason, std::move(detail));
                                    });
  flow_->start();
}

void SockmapRelay::on_handed_over(std::optional<Handover> handover) {
  handing_over_ = false;
  if (!handover) {  // it ends, or is half-closed already: lane 0 sees it through
    counted_.refused_by(Lane::kSkSkb);
    reason_ = "not spliced: the flow was ending";
    return;
  }
  before_.moved += handover->moved;
  user_.reset();
  splice(std::move(handover->sockets));
}

Progress SockmapRelay::progress() {
  Progress all = before_;
  if (user_) add(all, user_->progress());
  if (flow_) add(all, flow_->progress());
  all.lane_reason = reason_;
  return all;
}

// See FlowFacts. Bytes of all lanes, and of lane 1, now.
bool SockmapRelay::held_up(const model::Bytes& total, uint64_t redirected) const {
  if (flow_) {
    const uint64_t all = excess(total.both(), last_total_.from_downstream + last_total_.from_upstream);
    return 2 * excess(redirected, last_redirected_) < all;
  }
  return unacknowledged(downstream_).value_or(0) > kPiledUp ||
         unacknowledged(upstream_).value_or(0) > kPiledUp;
}

void SockmapRelay::on_look() {
  const Progress so_far = progress();
  // Not the turn's time: bytes that moved since would seem to have moved before it.
  const MonotonicTime now = monotonic_now();
  const auto health = flow_ ? flow_->health() : SockmapFlow::Health::kFine;
  if (health == SockmapFlow::Health::kStuck) {
    lane_.count_stuck_backlog();
    return flow_->close(CloseReason::kAborted, "bytes redirected in the kernel were stuck");
  }
  const model::Bytes total = so_far.moved.total();
  const uint64_t redirected = so_far.moved[Lane::kSkSkb].both();
  const TrafficSample sample{excess(total.received, last_total_.from_downstream),
                             excess(total.sent, last_total_.from_upstream), now - last_look_};
  const bool silent = sample.from_downstream == 0 && sample.from_upstream == 0;
  const bool slow_reader = held_up(total, redirected);
  last_total_ = {total.received, total.sent, {}};
  last_redirected_ = redirected;
  last_look_ = now;
  // A backlog waits for nobody's peer: it is the kernel that has yet to move these bytes.
  if (!silent || (flow_ && flow_->backlog_seen() > 0)) last_change_ = now;

  const Traffic traffic = classify(sample);
  bulk_.set(traffic == Traffic::kBulk);
  busy_.set(is_busy(sample));
  look_again(silent);
  if (flow_) {
    // Lane 0 keeps these times by itself.
    if (options_.max_duration != Duration{} && now - started_ >= options_.max_duration)
      return flow_->close(CloseReason::kMaxDuration, "");
    if (options_.idle_timeout != Duration{} && now - last_change_ >= options_.idle_timeout)
      return flow_->close(CloseReason::kIdleTimeout, "");
    if (!flow_->copied_because().empty()) {
      reason_ = "copied: " + flow_->copied_because();
      return;
    }
    if (health == SockmapFlow::Health::kOverBudget) {
      flow_->redirect(false);
      reason_ = "copied: too many redirected bytes wait in the kernel";
      return;
    }
  } else if (splice_tried_ || handing_over_) {
    return;
  }
  if (!lane_.enabled()) {
    if (flow_) flow_->redirect(false);
    reason_ = lane_.disabled_text();
    return;
  }
  // What it was last is the best guess of what it will be.
  if (silent && flow_ && !disturbed(false)) return;
  LaneAdvice advice =
      advise(wish_, {traffic, total.both(), now - started_, flow_ && flow_->redirecting(), slow_reader,
                     lane_.maps().gauges().bulk_flows, lane_.maps().gauges().busy_flows});
  if (const bool redirect = disturbed(advice.redirect); redirect != advice.redirect)
    advice = {redirect, "disturbed on purpose"};
  reason_ = advice.reason;
  if (flow_) {
    flow_->redirect(advice.redirect);
  } else if (advice.redirect) {
    handing_over_ = true;
    splice_tried_ = true;
    user_->hand_over([this](std::optional<Handover> handover) { on_handed_over(std::move(handover)); });
  }
}

// A timer for each flow, so its rate is what an idle flow costs.
void SockmapRelay::look_again(bool silent) {
  Duration rarest = kRarestLook;
  if (flow_ && options_.idle_timeout != Duration{})
    rarest = std::clamp<Duration>(options_.idle_timeout / 8, std::chrono::milliseconds(1), kRarestLook);
  const Duration busy = flow_ ? kBusyLook : kFirstLook;
  look_interval_ = std::min(silent ? std::max(look_interval_ * 2, busy) : busy, rarest);
  if (flow_ && options_.max_duration != Duration{}) look_interval_ = std::min(look_interval_, left());
  look_->set(disturbed(look_interval_));
}

void SockmapRelay::abort() {
  if (user_) return user_->abort();
  if (!flow_) return;
  // `done` comes from the loop, also when abort() is called from outside of a callback.
  lane_.loop().post([this, alive = std::weak_ptr<int>(alive_)] {
    if (alive.lock() && flow_) flow_->close(CloseReason::kAborted, "");
  });
}

void SockmapRelay::finish(CloseReason reason, std::string detail) {
  look_.reset();
  lane_.counters().add_bytes(before_.moved);
  // What moved bytes, not where the flow was when it ended.
  before_.lane = before_.moved[Lane::kSkSkb].both() > 0 ? Lane::kSkSkb : copying_lane(lane_.loop().backend());
  before_.lane_reason = reason_;
  bulk_.set(false);
  busy_.set(false);
  const Outcome outcome{reason, before_, std::move(detail)};
  // May destroy this.
  std::exchange(done_, nullptr)(outcome);
}

}  // namespace

std::unique_ptr<Relay> make_sockmap_relay(SockmapLane& lane, MakeUserRelay make_user_relay, SpliceWish wish,
                                          Pair sockets, const RelayOptions& options, Done done) {
  auto relay =
      std::make_unique<SockmapRelay>(lane, std::move(make_user_relay), wish, options, std::move(done));
  relay->start(std::move(sockets));
  return relay;
}

}  // namespace sockmesh::datapath
