// Hand-over of lane 0: a flow changes relays again and again under load, and no byte is lost, doubled or
// counted twice.
#include <catch2/catch.hpp>

#include "datapath/epoll_relay.h"
#include "datapath/late_resets.h"
#include "datapath/uring_relay.h"
#include "relay_world.h"
#include "test_support/eventually.h"
#include "test_support/scenarios.h"
#include "test_support/skip.h"

namespace sockmesh::test {

using namespace datapath;

namespace {

// A flow that is handed over from relay to relay until it ends.
class Wanderer {
 public:
  Wanderer(event::Loop& loop, LateResets& late, Pair sockets, std::atomic<size_t>& ended)
      : loop_(loop), late_(late), ended_(ended), timer_(loop.timer([this] { wander(); })) {
    settle_down(std::move(sockets));
    wander_soon();
  }

  Outcome outcome;  // once ended; counts of all its relays
  int moves = 0, refusals = 0;

 private:
  void settle_down(Pair sockets) {
    const auto done = [this](const Outcome& last) {
      outcome = last;
      outcome.progress.moved += before_;
      timer_.reset();
      relay_.reset();
      ++ended_;
    };
    if (loop_.uring()) {
      relay_ = std::make_unique<UringRelay>(loop_, late_, std::move(sockets), RelayOptions{}, done);
    } else {
      relay_ = std::make_unique<EpollRelay>(loop_, late_, std::move(sockets), RelayOptions{}, done);
    }
  }
  void wander_soon() { timer_->set(std::chrono::microseconds(100 + 137 * (moves % 11))); }
  void wander() {
    relay_->hand_over([this](std::optional<Handover> handover) {
      if (!handover) {
        ++refusals;
        return;  // it is ending
      }
      ++moves;
      before_ += handover->moved;
      settle_down(std::move(handover->sockets));
      wander_soon();
    });
  }

  event::Loop& loop_;
  LateResets& late_;
  std::atomic<size_t>& ended_;
  std::unique_ptr<UserRelay> relay_;
  std::unique_ptr<event::Timer> timer_;
  model::BytesByLane before_;
};

}  // namespace

TEST_CASE("a flow survives being handed over under load") {
  const auto backend = GENERATE(event::Backend::kEpoll, event::Backend::kIoUring);
  auto made = event::Loop::create(backend);
  if (!made) return skip_lane(made.error().message);
  const auto loop = std::move(*made);
  LateResets late(*loop);
  std::thread thread([&] { loop->run(); });

  const Scenario scenarios[] = {Scenario::kEcho,      Scenario::kDuplex,     Scenario::kUpload,
                                Scenario::kDownload,  Scenario::kTinyWrites, Scenario::kServerHalfClose,
                                Scenario::kSlowReader};
  std::vector<std::unique_ptr<StreamEnd>> ends;
  std::vector<StreamEnd*> all;
  std::vector<std::unique_ptr<Wanderer>> wanderers(28);  // the loop's thread
  std::atomic<size_t> ended_flows{0};
  for (size_t i = 0; i < wanderers.size(); ++i) {
    const Scenario scenario = scenarios[i % std::size(scenarios)];
    const FlowPlan plan = plan_flow(scenario, i, scenario == Scenario::kTinyWrites ? 5000 : 4'000'000);
    Legs legs = connect_legs(i % 2 == 1);
    ends.push_back(std::make_unique<StreamEnd>(std::move(legs.client), plan.client));
    ends.push_back(std::make_unique<StreamEnd>(std::move(legs.server), plan.server));
    loop->post([&, i, pair = std::make_shared<Pair>(std::move(legs.sockets))] {
      wanderers[i] = std::make_unique<Wanderer>(*loop, late, std::move(*pair), ended_flows);
    });
  }
  for (const auto& end : ends) all.push_back(end.get());
  const std::string verdict = run_ends(all, patient(std::chrono::seconds(30)));
  const bool ended = verdict.empty() &&
                     eventually([&] { return ended_flows == wanderers.size(); }, std::chrono::seconds(20));
  int moves = 0;
  loop->post([&] {
    for (const auto& one : wanderers) moves += one->moves;
    if (!ended) wanderers.clear();
    loop->stop();
  });
  thread.join();
  REQUIRE(verdict == "");
  REQUIRE(ended);
  CHECK(moves > 100);
  for (size_t i = 0; i < wanderers.size(); ++i) {
    const Outcome& outcome = wanderers[i]->outcome;
    INFO("flow " << i << ", " << wanderers[i]->moves << " moves");
    CHECK(outcome.reason == CloseReason::kFinished);
    CHECK(outcome.progress.received() == ends[2 * i]->report().sent);
    CHECK(outcome.progress.received() == ends[2 * i + 1]->report().received);
    CHECK(outcome.progress.sent() == ends[2 * i + 1]->report().sent);
    CHECK(outcome.progress.sent() == ends[2 * i]->report().received);
  }
}

}  // namespace sockmesh::test
