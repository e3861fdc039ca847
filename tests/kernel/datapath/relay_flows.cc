#include "relay_flows.h"

#include <catch2/catch.hpp>

#include "test_support/eventually.h"

namespace sockmesh::test {

using datapath::CloseReason;
using datapath::Outcome;

Flow make_flow(Scenario scenario, uint64_t id, uint64_t bytes, bool ipv6) {
  const FlowPlan plan = plan_flow(scenario, id, bytes);
  Legs legs = connect_legs(ipv6);
  return {std::make_unique<StreamEnd>(std::move(legs.client), plan.client),
          std::make_unique<StreamEnd>(std::move(legs.server), plan.server), std::move(legs.sockets)};
}

std::string run_flows(std::vector<Flow>& flows) {
  std::vector<StreamEnd*> ends;
  for (auto& flow : flows) {
    ends.push_back(flow.client.get());
    ends.push_back(flow.server.get());
  }
  return run_ends(ends, patient(kFlowDeadline));
}

void check_finished(const Flow& flow, const Outcome& outcome) {
  CHECK(outcome.reason == CloseReason::kFinished);
  CHECK(outcome.detail.empty());
  CHECK(outcome.progress.received() == flow.client->report().sent);
  CHECK(outcome.progress.received() == flow.server->report().received);
  CHECK(outcome.progress.sent() == flow.server->report().sent);
  CHECK(outcome.progress.sent() == flow.client->report().received);
  CHECK(outcome.progress.downstream_closed);
  CHECK(outcome.progress.upstream_closed);
}

void check_reset(const Flow& flow, const Outcome& outcome, Scenario scenario) {
  const bool by_client = scenario == Scenario::kClientReset;
  CHECK(outcome.reason == (by_client ? CloseReason::kDownstreamReset : CloseReason::kUpstreamReset));
  CHECK_FALSE(outcome.detail.empty());
  CHECK(outcome.progress.received() >= flow.server->report().received);
  CHECK(outcome.progress.sent() >= flow.client->report().received);
  CHECK(outcome.progress.received() <= flow.client->report().sent);
}

}  // namespace sockmesh::test
