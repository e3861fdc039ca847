// Every scenario a relay has to survive, through lane 1, over IPv4 and IPv6: bytes, ends and counters
// together.
#include <catch2/catch.hpp>

#include "sockmap_world.h"
#include "test_support/eventually.h"
#include "test_support/scenarios.h"

using namespace sockmesh;
using namespace sockmesh::test;

namespace {

constexpr size_t kFlows = 6;
constexpr uint64_t kBytes = 400'000;
constexpr auto kDeadline = std::chrono::seconds(20);

}  // namespace

TEST_CASE("scenarios through lane 1") {
  const auto backend = GENERATE(event::Backend::kEpoll, event::Backend::kIoUring);
  const bool ipv6 = GENERATE(false, true);
  SockmapWorld::Options options;
  options.backend = backend;
  SockmapWorld world(options);
  for (const Scenario scenario : all_scenarios()) {
    INFO(to_string(scenario) << (ipv6 ? " v6" : " v4")
                             << (backend == event::Backend::kEpoll ? " epoll" : " io_uring"));
    const uint64_t bytes = scenario == Scenario::kTinyWrites ? 2'000 : kBytes;
    std::vector<StreamEnd> ends;
    std::vector<size_t> flows;
    for (size_t i = 0; i < kFlows; ++i) {
      const FlowPlan plan = plan_flow(scenario, i, bytes);
      auto flow = world.open(ipv6);
      ends.emplace_back(std::move(flow.client), plan.client);
      ends.emplace_back(std::move(flow.server), plan.server);
      flows.push_back(flow.flow);
    }
    std::vector<StreamEnd*> all;
    for (StreamEnd& end : ends) all.push_back(&end);
    REQUIRE(run_ends(all, patient(kDeadline)) == "");
    for (size_t i = 0; i < kFlows; ++i) {
      const auto outcome = world.wait_for_outcome(flows[i]);
      const EndReport &client = ends[2 * i].report(), &server = ends[2 * i + 1].report();
      INFO("flow " << i << ", reason " << static_cast<int>(outcome.reason) << " " << outcome.detail);
      CHECK((outcome.reason == datapath::CloseReason::kFinished) != resets(scenario));
      if (resets(scenario)) continue;
      CHECK(outcome.progress.received() == client.sent);
      CHECK(outcome.progress.received() == server.received);
      CHECK(outcome.progress.sent() == server.sent);
      CHECK(outcome.progress.sent() == client.received);
      CHECK(outcome.progress.downstream_closed);
      CHECK(outcome.progress.upstream_closed);
      // A slow reader's bytes are copied, and so are single bytes that pile up faster than the worker writes
      // them.
      if (scenario != Scenario::kSlowReader && scenario != Scenario::kTinyWrites)
        CHECK(outcome.progress.moved[datapath::Lane::kSkSkb].received * 2 >= client.sent);
    }
  }
  const auto stats = world.lane().counters().stats();
  CHECK(stats.flows_active == 0);
  CHECK(stats.lanes[datapath::Lane::kSkSkb].flows_active == 0);
  CHECK(stats.lanes[datapath::Lane::kSkSkb].stuck == 0);
  CHECK(world.maps().stats().slots_used == 0);
  CHECK(world.maps().disabled_reason() == "");
}
