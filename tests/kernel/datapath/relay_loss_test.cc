// The relay matrix on a bad network, both legs of every flow through one loopback device with netem. Segments
// that are lost, late and out of order make what a perfect network never shows: retransmissions that overlap
// what was read, bursts that come in order all at once, acknowledgements that wait while a backlog grows.
#include <catch2/catch.hpp>

#include "relay_flows.h"
#include "test_support/netem.h"
#include "test_support/skip.h"

namespace sockmesh::test {
namespace {

struct Network {
  std::string_view name;
  const char* rules;
  // A RST is sent once and confirmed by nobody: whoever waits in silence for one that was lost waits for
  // ever, in a direct connection too.
  bool loses;
};
constexpr Network kLossy{"loss", "delay 5ms loss 1.5% reorder 10% 50%", true};
constexpr Network kReordering{"reordering", "delay 5ms 3ms reorder 25% 50%", false};

uint64_t bytes_of(Scenario scenario) {
  if (scenario == Scenario::kTinyWrites) return 1000;
  return scenario == Scenario::kSlowReader ? 1'000'000 : 150'000;
}

void run_matrix(const Cell& cell, const Network& network) {
  RelayWorld world(cell.lane);
  for (const Scenario scenario : all_scenarios()) {
    INFO(to_string(scenario));
    const bool resets = scenario == Scenario::kClientReset || scenario == Scenario::kServerReset;
    if (resets && network.loses) continue;
    std::vector<Flow> flows;
    for (uint64_t i = 0; i < 4; ++i) {
      flows.push_back(make_flow(scenario, i, bytes_of(scenario), cell.ipv6));
      flows.back().number = world.relay(std::move(flows.back().sockets));
    }
    REQUIRE(run_flows(flows) == "");
    for (const Flow& flow : flows) {
      const datapath::Outcome outcome = world.wait_for_outcome(flow.number);
      INFO("flow " << flow.number << ": " << to_string(outcome.reason) << ", " << outcome.detail);
      resets ? check_reset(flow, outcome, scenario) : check_finished(flow, outcome);
      CHECK(world.outcomes_told(flow.number) == 1);
    }
  }
  CHECK(world.stats().flows_active == 0);
  CHECK(world.stats().lanes[datapath::Lane::kSkSkb].stuck == 0);
}

void run_matrix_on(const Network& network) {
  const auto cell = GENERATE(from_range(matrix()));
  INFO(describe(cell) << ", " << network.name);
  const Netns netns("bad");
  if (!set_netem(netns, "lo", network.rules)) return skip("this kernel has no netem");
  netns.run([&] { run_matrix(cell, network); });
}

}  // namespace

TEST_CASE("relay matrix: scenarios under loss, delay and reordering") { run_matrix_on(kLossy); }
TEST_CASE("relay matrix: scenarios, resets among them, under delay and reordering") {
  run_matrix_on(kReordering);
}

}  // namespace sockmesh::test
