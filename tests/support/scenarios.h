// Named flows: what client and server do in each of the situations a relay has to survive. Plain values; used
// by sm-streams and by the relay tests alike. Pure, any thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "test_support/streams.h"

namespace sockmesh::test {

enum class Scenario {
  kEcho,         // everything comes back
  kUpload,       // client to server; the server's receipt after the client's FIN (half-close by the client)
  kDownload,     // server to client, the client ends first
  kDuplex,       // both directions at once, each ended by its own sender
  kServerFirst,  // the client waits for a greeting
  kServerHalfClose,  // the server ends first, then the client sends
  kFinFirst,         // the client says FIN and not a byte
  kClientReset,      // the client sends RST in the middle of an echo
  kServerReset,      // the server sends RST after its bytes
  kSlowReader,       // upload to a server that reads 64 KiB every 2 ms
  kTinyWrites,       // an echo of one-byte writes
};

struct FlowPlan {
  EndPlan client;
  EndPlan server;
};

const std::vector<Scenario>& all_scenarios();
std::string_view to_string(Scenario scenario);
bool resets(Scenario scenario);                              // one of its ends
std::optional<Scenario> scenario_of(std::string_view name);  // by the names above, with '-' for '_'

// The plan of flow number `flow`: every flow of a run gets ids, and so bytes, of its own. `bytes` is the size
// of each direction that carries data (at least kHeaderBytes).
FlowPlan plan_flow(Scenario scenario, uint64_t flow, uint64_t bytes);

}  // namespace sockmesh::test
