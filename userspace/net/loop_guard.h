// Loop guard: a connection that was dialled at our capture port, or whose destination is one, would make us
// dial ourselves without end. Istio answers with a filter chain on its fixed ports
// (docs/istio.md#virtualoutbound); this one also covers ports moved by flags. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "net/original_destination.h"

namespace sockmesh::net {

// True: close it at once, without an access-log line. `capture_ports` are those of this agent.
bool would_loop(const Captured& captured, const std::vector<uint16_t>& capture_ports);

}  // namespace sockmesh::net
