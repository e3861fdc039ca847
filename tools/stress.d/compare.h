// What the agents logged of a flow against what its applications counted. Pure, any thread.
#pragma once

#include <cstdint>
#include <string>

#include "plan.h"

namespace sockmesh::stress {

struct Counted {  // bytes, by the applications
  uint64_t client_sent = 0, client_received = 0, server_sent = 0, server_received = 0;
};
struct LoggedFlow {  // of an access-log line
  std::string flags;
  uint64_t received = 0, sent = 0;  // bytes from and to the downstream
};

// "" when both lines tell what the applications saw, else what does not agree. `outbound` is the line of the
// client's agent, `inbound` that of the server's.
std::string compare(const FlowPlan& plan, const Counted& counted, const LoggedFlow& outbound,
                    const LoggedFlow& inbound);

}  // namespace sockmesh::stress
