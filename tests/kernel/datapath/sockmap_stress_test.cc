// Many checksummed full-duplex flows, taken into lane 1 while their bytes are under way, with every limit
// that makes them change between redirecting and copying; without and with packet loss.
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "sockmap_world.h"
#include "test_support/eventually.h"
#include "test_support/netns.h"
#include "test_support/process.h"
#include "test_support/scenarios.h"

using namespace sockmesh;
using namespace sockmesh::test;
using datapath::SpliceWish;

namespace {

constexpr auto kDeadline = std::chrono::seconds(60);

struct Load {
  size_t flows;
  uint64_t most_bytes;
  uint32_t limit_skbs;
};

// Every flow is one of the scenarios that end properly, over v4 or v6, with early bytes or without, spliced
// at once or by a hand-over in mid-stream.
void run_load(const Load& load, uint32_t seed) {
  SockmapWorld::Options options;
  options.maps.limit_skbs = load.limit_skbs;
  options.backend = seed % 2 ? event::Backend::kIoUring : event::Backend::kEpoll;
  SockmapWorld world(options);
  std::mt19937 random(seed);
  const auto up_to = [&](uint64_t most) { return std::uniform_int_distribution<uint64_t>(0, most)(random); };
  constexpr Scenario kKinds[] = {Scenario::kEcho,     Scenario::kDuplex,      Scenario::kDuplex,
                                 Scenario::kDownload, Scenario::kUpload,      Scenario::kServerHalfClose,
                                 Scenario::kEcho,     Scenario::kServerFirst, Scenario::kFinFirst};
  std::vector<StreamEnd> ends;
  std::vector<datapath::Pair> waiting;
  std::vector<SpliceWish> wishes;
  for (size_t i = 0; i < load.flows; ++i) {
    FlowPlan plan =
        plan_flow(kKinds[up_to(std::size(kKinds) - 1)], seed * 1000 + i, 64 + up_to(load.most_bytes));
    plan.client.write_chunk = 1 + static_cast<uint32_t>(up_to(100'000));
    plan.server.write_chunk = 1 + static_cast<uint32_t>(up_to(100'000));
    plan.server.read_chunk = 100 + static_cast<uint32_t>(up_to(200'000));
    if (up_to(9) == 0) plan.server.read_pause_ms = 1;
    if (up_to(9) == 0) plan.client.read_pause_ms = 1;
    auto legs = SockmapWorld::connect(up_to(1) == 1);
    ends.emplace_back(std::move(legs.client), plan.client);
    ends.emplace_back(std::move(legs.server), plan.server);
    waiting.push_back(std::move(legs.sockets));
    wishes.push_back(up_to(1) == 1 ? SpliceWish::kAlways : SpliceWish::kMeasured);
  }
  std::vector<StreamEnd*> all;
  for (StreamEnd& end : ends) all.push_back(&end);
  // The flows come up one after another while those before them run.
  std::vector<size_t> flows;
  REQUIRE(drive(all, patient(kDeadline), [&] {
            if (flows.size() < waiting.size() && up_to(2) == 0)
              flows.push_back(world.relay(std::move(waiting[flows.size()]), wishes[flows.size()]));
            return flows.size() == waiting.size();
          }) == "");
  const std::string verdict = run_ends(all, patient(kDeadline));
  std::string unfinished;
  for (size_t i = 0; i < flows.size() && !verdict.empty(); ++i) {
    if (const auto outcome = world.outcome(flows[i]);
        outcome && outcome->reason != datapath::CloseReason::kFinished)
      unfinished += fmt::format("flow {}: {}, {}, {}; ", i, to_string(outcome->reason), outcome->detail,
                                outcome->progress.lane_reason);
  }
  INFO(unfinished);
  REQUIRE(verdict == "");
  for (size_t i = 0; i < flows.size(); ++i) {
    const auto outcome = world.wait_for_outcome(flows[i]);
    INFO("flow " << i << " " << outcome.detail << ", " << outcome.progress.lane_reason);
    CHECK(outcome.reason == datapath::CloseReason::kFinished);
    CHECK(outcome.progress.received() == ends[2 * i].report().sent);
    CHECK(outcome.progress.sent() == ends[2 * i + 1].report().sent);
    CHECK(outcome.progress.received() == ends[2 * i + 1].report().received);
    CHECK(outcome.progress.sent() == ends[2 * i].report().received);
  }
  const auto stats = world.lane().counters().stats();
  CHECK(stats.lanes[datapath::Lane::kSkSkb].stuck == 0);
  const auto& redirected = stats.lanes[datapath::Lane::kSkSkb];
  const uint64_t copied = stats.lanes[datapath::copying_lane(options.backend)].bytes;
  CHECK(redirected.bytes > 0);
  CHECK(copied > 0);
  CHECK(world.maps().disabled_reason() == "");
  CHECK(world.maps().stats().broken == 0);
  CHECK(world.maps().stats().slots_used == 0);
  INFO("redirected " << redirected.bytes << ", copied " << copied << ", refused " << redirected.refused);
}

}  // namespace

TEST_CASE("random flows, taken in at random moments") {
  const uint32_t limit = GENERATE(1u, 4u, 64u, 1'000'000u);
  const uint32_t seed = GENERATE(1u, 2u);
  INFO("limit " << limit << ", seed " << seed);
  run_load({.flows = 60, .most_bytes = 1'500'000, .limit_skbs = limit}, seed + limit);
}

// Loss makes retransmissions that overlap, segments out of order, and acknowledgements at odd moments. Two of
// a hundred packets are dropped, on packets of Ethernet's size.
TEST_CASE("random flows over a lossy network") {
  Netns netns("loss");
  netns.ip("link set lo mtu 1500\n");
  for (const char* tables : {"iptables", "ip6tables"})
    REQUIRE(run({.argv = {tables, "-A", "INPUT", "-p", "tcp", "-m", "statistic", "--mode", "random",
                          "--probability", "0.02", "-j", "DROP"},
                 .netns = &netns})
                .status == 0);
  const uint32_t limit = GENERATE(4u, 64u);
  const uint32_t seed = GENERATE(1u, 2u);
  INFO("limit " << limit << ", seed " << seed);
  netns.run([&] { run_load({.flows = 60, .most_bytes = 400'000, .limit_skbs = limit}, seed); });
}

TEST_CASE("two workers share the maps", "[threads]") {
  SockmapWorld::Options options;
  options.maps.rings = 2;
  options.maps.limit_skbs = 8;
  SockmapWorld first(options);
  options.shared = &first.maps();
  options.backend = event::Backend::kIoUring;
  SockmapWorld second(options);
  CHECK(first.lane().ring() != second.lane().ring());
  std::vector<StreamEnd> ends;
  std::vector<std::pair<SockmapWorld*, size_t>> flows;
  for (size_t i = 0; i < 60; ++i) {
    const FlowPlan plan = plan_flow(i % 3 ? Scenario::kDuplex : Scenario::kEcho, i, 200'000);
    SockmapWorld& world = i % 2 ? first : second;
    auto flow = world.open(i % 4 == 0);
    ends.emplace_back(std::move(flow.client), plan.client);
    ends.emplace_back(std::move(flow.server), plan.server);
    flows.emplace_back(&world, flow.flow);
  }
  std::vector<StreamEnd*> all;
  for (StreamEnd& end : ends) all.push_back(&end);
  // The switch and the numbers are for any thread, while workers run.
  bool enabled = true;
  size_t turns = 0;
  REQUIRE(drive(all, patient(kDeadline), [&] {
            if (++turns % 16 == 0) first.maps().set_enabled(enabled = !enabled);
            if (turns % 16 == 8) second.lane().set_enabled(turns % 32 == 8);
            (void)second.lane().counters().stats();
            return std::all_of(all.begin(), all.end(), [](const StreamEnd* end) { return end->done(); });
          }) == "");
  for (const auto& [world, flow] : flows)
    CHECK(world->wait_for_outcome(flow).reason == datapath::CloseReason::kFinished);
  CHECK(first.maps().stats().slots_used == 0);
}
