#include "datapath/data_path.h"

#include <array>
#include <utility>

#include "datapath/epoll_relay.h"
#include "datapath/late_resets.h"
#include "datapath/sockmap_lane.h"
#include "datapath/sockmap_relay.h"
#include "datapath/uring_relay.h"

namespace sockmesh::datapath {

namespace {

constexpr std::array<std::pair<Mode, const char*>, 4> kModes{{
    {Mode::kAuto, "auto"},
    {Mode::kSockmap, "sockmap"},
    {Mode::kIoUring, "io_uring"},
    {Mode::kEpoll, "epoll"},
}};

std::unique_ptr<UserRelay> make_user_relay(event::Loop& loop, LateResets& late, Pair sockets,
                                           const RelayOptions& options, Done done) {
  if (loop.uring())
    return std::make_unique<UringRelay>(loop, late, std::move(sockets), options, std::move(done));
  return std::make_unique<EpollRelay>(loop, late, std::move(sockets), options, std::move(done));
}

// --- all flows in lane 0 ---

class CountedRelay final : public Relay {
 public:
  CountedRelay(LaneCounters& counters, Lane lane, const std::string& lane_reason)
      : counters_(counters), counted_(counters), lane_reason_(lane_reason) {
    counted_.enter(lane);
  }

  void start(event::Loop& loop, LateResets& late, Pair sockets, const RelayOptions& options, Done done) {
    done_ = std::move(done);
    relay_ = make_user_relay(loop, late, std::move(sockets), options, [this](const Outcome& outcome) {
      counters_.add_bytes(outcome.progress.moved);
      Outcome told = outcome;
      told.progress.lane_reason = lane_reason_;
      std::exchange(done_, nullptr)(told);  // may destroy this
    });
  }
  Progress progress() override {
    Progress progress = relay_->progress();
    progress.lane_reason = lane_reason_;
    return progress;
  }
  void abort() override { relay_->abort(); }

 private:
  LaneCounters& counters_;
  CountedFlow counted_;
  const std::string& lane_reason_;
  Done done_;
  std::unique_ptr<UserRelay> relay_;
};

class UserDataPath final : public DataPath {
 public:
  UserDataPath(event::Loop& loop, std::string lane_reason)
      : loop_(loop), lane_reason_(std::move(lane_reason)) {}

  std::unique_ptr<Relay> relay(Pair sockets, const RelayOptions& options, Done done) override {
    auto relay = std::make_unique<CountedRelay>(counters_, copying_lane(loop_.backend()), lane_reason_);
    relay->start(loop_, late_resets_, std::move(sockets), options, std::move(done));
    return relay;
  }
  LaneStats stats() const override { return counters_.stats(); }
  void set_enabled(Lane, bool) override {}

 private:
  event::Loop& loop_;
  const std::string lane_reason_;
  LaneCounters counters_;
  LateResets late_resets_{loop_};
};

// --- lane 0 and lane 1 ---

class SplicingDataPath final : public DataPath {
 public:
  SplicingDataPath(event::Loop& loop, bpf::SpliceMaps& maps, SpliceWish wish)
      : loop_(loop), lane_(loop, maps), wish_(wish) {}

  std::unique_ptr<Relay> relay(Pair sockets, const RelayOptions& options, Done done) override {
    const auto lane_0 = [this](Pair pair, const RelayOptions& its_options, Done its_done) {
      return make_user_relay(loop_, lane_.late_resets(), std::move(pair), its_options, std::move(its_done));
    };
    return make_sockmap_relay(lane_, lane_0, wish_, std::move(sockets), options, std::move(done));
  }
  LaneStats stats() const override { return lane_.counters().stats(); }
  void set_enabled(Lane lane, bool enabled) override {
    if (lane == Lane::kSkSkb) lane_.set_enabled(enabled);
  }

 private:
  event::Loop& loop_;
  SockmapLane lane_;
  const SpliceWish wish_;
};

}  // namespace

std::optional<Mode> parse_mode(std::string_view text) {
  for (const auto& [mode, name] : kModes) {
    if (text == name) return mode;
  }
  return std::nullopt;
}

const char* to_string(Mode mode) {
  for (const auto& [known, name] : kModes) {
    if (known == mode) return name;
  }
  return "";
}

std::unique_ptr<DataPath> DataPath::create(event::Loop& loop, Mode mode, bpf::SpliceMaps* splice,
                                           const std::string& splice_unavailable) {
  if (mode == Mode::kSockmap || mode == Mode::kAuto) {
    const auto wish = mode == Mode::kSockmap ? SpliceWish::kAlways : SpliceWish::kMeasured;
    if (splice) return std::make_unique<SplicingDataPath>(loop, *splice, wish);
    return std::make_unique<UserDataPath>(loop, "not spliced: " + splice_unavailable);
  }
  std::string reason = fmt::format("data path mode {}", to_string(mode));
  if (mode == Mode::kIoUring && !loop.uring()) reason += ", but io_uring is refused here";
  return std::make_unique<UserDataPath>(loop, std::move(reason));
}

}  // namespace sockmesh::datapath
