// A run can be had again: plans come from the seed alone. And each plan is one that two ends can carry out.
#include "stress/plan.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

using namespace sockmesh::stress;

TEST_CASE("the same seed, the same flows; another seed, others") {
  int differ = 0;
  for (uint64_t number = 0; number < 500; ++number) {
    const FlowPlan plan = plan_flow(3, number);
    CHECK(describe(plan) == describe(plan_flow(3, number)));
    CHECK(plan.randomness == plan_flow(3, number).randomness);
    differ += describe(plan) != describe(plan_flow(4, number)) ? 1 : 0;
  }
  CHECK(differ > 490);
}

TEST_CASE("every kind, both families, every size") {
  std::set<std::string_view> seen;
  uint64_t ipv6 = 0, empty = 0, small = 0, big = 0, bytes = 0;
  constexpr uint64_t kFlows = 20'000;
  for (uint64_t number = 0; number < kFlows; ++number) {
    const FlowPlan plan = plan_flow(1, number);
    seen.insert(plan.kind);
    ipv6 += plan.ipv6 ? 1 : 0;
    for (const Script* script : {&plan.client, &plan.server}) {
      CHECK(script->send <= kLongest);
      CHECK(script->least_write >= 1);
      CHECK(script->least_write <= script->most_write);
      CHECK(script->most_read >= 1);
      CHECK(std::is_sorted(script->gates.begin(), script->gates.end(),
                           [](const Gate& a, const Gate& b) { return a.at < b.at; }));
      for (const Gate& gate : script->gates) CHECK(gate.at <= script->send);
      empty += script->send == 0 ? 1 : 0;
      small += script->send > 0 && script->send < 1000 ? 1 : 0;
      big += script->send > 10'000'000 ? 1 : 0;
      bytes += script->send;
    }
  }
  CHECK(seen.size() == kinds().size());
  CHECK(ipv6 > kFlows * 45 / 100);
  CHECK(ipv6 < kFlows * 55 / 100);
  CHECK(empty > 400);
  CHECK(small > 8000);
  CHECK(big > 300);
  // 100,000 flows are to end in a quarter of an hour or so.
  CHECK(bytes / kFlows > 500'000);
  CHECK(bytes / kFlows < 1'200'000);
}

TEST_CASE("a run can be made of some kinds alone") {
  for (uint64_t number = 0; number < 200; ++number) {
    const FlowPlan plan = plan_flow(1, number, {"banner", "exchange"});
    CHECK((plan.kind == "banner" || plan.kind == "exchange"));
  }
}

TEST_CASE("no two directions have the same bytes") {
  std::set<uint64_t> keys;
  for (uint64_t number = 0; number < 1000; ++number)
    for (const bool from_client : {true, false}) keys.insert(key_of(1, number, from_client));
  CHECK(keys.size() == 2000);
}
