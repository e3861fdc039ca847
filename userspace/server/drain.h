// Drain: what `sockmeshctl drain`, /drain and Envoy's /drain_listeners ask for: not ready any more, and the
// listening sockets closed, at once or (graceful) after the drain time, so that whoever does not know yet is
// still served. Open connections go on in either case, and so does the agent. Main thread.
#pragma once

#include <memory>

#include "admin/sources.h"
#include "event/loop.h"
#include "server/agent.h"

namespace sockmesh::server {

class Drain {
 public:
  Drain(event::Loop& loop, Agent& agent);
  // Asked again, it can only become more: all after inbound only, at once after gracefully.
  void begin(const admin::DrainRequest& request);

 private:
  void close();

  Agent& agent_;
  bool begun_ = false, inbound_only_ = true;
  std::unique_ptr<event::Timer> timer_;
};

}  // namespace sockmesh::server
