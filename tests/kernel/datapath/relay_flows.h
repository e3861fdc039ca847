// The relay matrix in verbs: a flow with the two applications at its ends, and what has to hold
// once it is over. Used by the cases on a perfect network and by those on a bad one.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "relay_world.h"
#include "test_support/scenarios.h"

namespace sockmesh::test {

constexpr auto kFlowDeadline = std::chrono::seconds(30);  // before patient()

struct Flow {
  std::unique_ptr<StreamEnd> client, server;
  datapath::Pair sockets;  // until it is relayed
  size_t number = 0;
};
Flow make_flow(Scenario scenario, uint64_t id, uint64_t bytes, bool ipv6);

// Drives both ends of all flows until they are done; what went wrong, or "".
std::string run_flows(std::vector<Flow>& flows);

// The flow ended by itself, and the relay counted what its applications saw.
void check_finished(const Flow& flow, const datapath::Outcome& outcome);
// The flow ended by the RST of a scenario that has one, and was told to have.
void check_reset(const Flow& flow, const datapath::Outcome& outcome, Scenario scenario);

}  // namespace sockmesh::test
