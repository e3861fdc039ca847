#include "test_support/scenarios.h"

#include <algorithm>
#include <array>
#include <utility>

#include "test_support/pattern.h"

namespace sockmesh::test {
namespace {

constexpr std::array<std::pair<Scenario, std::string_view>, 11> kNames{{
    {Scenario::kEcho, "echo"},
    {Scenario::kUpload, "upload"},
    {Scenario::kDownload, "download"},
    {Scenario::kDuplex, "duplex"},
    {Scenario::kServerFirst, "server-first"},
    {Scenario::kServerHalfClose, "server-half-close"},
    {Scenario::kFinFirst, "fin-first"},
    {Scenario::kClientReset, "client-reset"},
    {Scenario::kServerReset, "server-reset"},
    {Scenario::kSlowReader, "slow-reader"},
    {Scenario::kTinyWrites, "tiny-writes"},
}};

}  // namespace

const std::vector<Scenario>& all_scenarios() {
  static const std::vector<Scenario> all = [] {
    std::vector<Scenario> list;
    for (const auto& [scenario, name] : kNames) list.push_back(scenario);
    return list;
  }();
  return all;
}

std::string_view to_string(Scenario scenario) {
  const auto found =
      std::find_if(kNames.begin(), kNames.end(), [&](const auto& entry) { return entry.first == scenario; });
  return found->second;
}

bool resets(Scenario scenario) {
  return scenario == Scenario::kClientReset || scenario == Scenario::kServerReset;
}

std::optional<Scenario> scenario_of(std::string_view name) {
  for (const auto& [scenario, known] : kNames) {
    if (known == name) return scenario;
  }
  return std::nullopt;
}

FlowPlan plan_flow(Scenario scenario, uint64_t flow, uint64_t bytes) {
  bytes = std::max(bytes, kHeaderBytes);
  FlowPlan plan;
  plan.client.id = mix(2 * flow);
  plan.server.id = mix(2 * flow + 1);
  plan.server.peer_id = plan.client.id;
  plan.client.peer_id = plan.server.id;
  plan.client.send_bytes = bytes;
  plan.server.send_bytes = kHeaderBytes;

  const auto echo = [&] {
    plan.server.echo = true;
    plan.client.peer_id = plan.client.id;
  };
  const auto receipt = [&] {
    plan.server.receipt = true;
    plan.client.wants_receipt = true;
  };
  switch (scenario) {
    case Scenario::kEcho:
      echo();
      break;
    case Scenario::kUpload:
      receipt();
      break;
    case Scenario::kDownload:
      plan.client.send_bytes = kHeaderBytes;
      plan.server.send_bytes = bytes;
      receipt();
      break;
    case Scenario::kDuplex:
      plan.server.send_bytes = bytes;
      break;
    case Scenario::kServerFirst:
      plan.client.wait_first = true;
      plan.client.peer_id.reset();  // a greeting server does not know the flow's number
      receipt();
      break;
    case Scenario::kServerHalfClose:
      plan.client.wait_eof = true;
      plan.server.send_bytes = bytes;
      break;
    case Scenario::kFinFirst:
      plan.client.send_bytes = 0;
      plan.server.send_bytes = 0;
      break;
    case Scenario::kClientReset:
      echo();
      plan.client.end = EndPlan::End::kReset;
      plan.client.end_after = kHeaderBytes;  // the server has learnt what it is in for
      plan.server.peer_resets = true;
      break;
    case Scenario::kServerReset:
      plan.client.send_bytes = kHeaderBytes;
      plan.client.hold_at = kHeaderBytes;
      plan.client.peer_resets = true;
      plan.server.send_bytes = bytes;
      plan.server.end = EndPlan::End::kReset;
      break;
    case Scenario::kSlowReader:
      receipt();
      plan.server.read_pause_ms = 2;
      break;
    case Scenario::kTinyWrites:
      echo();
      plan.client.write_chunk = 1;
      plan.server.write_chunk = 1;
      break;
  }
  return plan;
}

}  // namespace sockmesh::test
