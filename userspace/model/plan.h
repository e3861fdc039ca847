// What applying a new configuration would change for one proxy, before it is applied: listeners, routes,
// clusters and endpoints gained, lost and changed, and which open flows would be routed otherwise if they
// were opened now. (Applying touches no open flow: this tells what their next connection would meet.) A pure
// diff of two Snapshots, any thread; `sockmeshctl apply --plan` prints it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/match.h"
#include "model/snapshot.h"

namespace sockmesh::model {

struct OpenFlow {  // as an agent reports it
  std::string id;
  Direction direction = Direction::kOutbound;
  SocketAddress original_destination, source;
  std::string cluster;                    // that it went to
  std::optional<SocketAddress> upstream;  // the endpoint, when known
  std::string bound_listener;     // name of the bound listener that accepted it; "" when it was captured
  std::optional<TlsHello> hello;  // what was peeked, if anything was
};

enum class ChangeKind : uint8_t { kAdded, kRemoved, kChanged };

struct PlanChange {
  ChangeKind kind = ChangeKind::kChanged;
  std::string name;                  // of the listener, cluster, or "ADDRESS in CLUSTER" of an endpoint
  std::vector<std::string> details;  // kChanged: "connect timeout: 10s -> 5s"
  OriginPtr object;                  // that makes it so; of what is removed, the one that did; may be null
};

struct RouteChange {
  ChangeKind kind = ChangeKind::kChanged;
  std::string listener, match;  // "10.96.1.10_9000", "everything" or "destination in 10.0.0.0/8"
  std::string before,
      after;  // "outbound|9000||echo...", "80 % ..., 20 % ..."; what takes over from a lost route
  OriginPtr object;
};

struct FlowChange {
  OpenFlow flow;
  std::string after;   // clusters, or why there would be none
  std::string reason;  // which listener and chain decide now
  OriginPtr object;    // behind them; may be null
};

struct Plan {
  std::vector<PlanChange> listeners, clusters, endpoints;
  std::vector<RouteChange> routes;
  std::vector<FlowChange> flows;  // those that would be routed otherwise
  size_t flows_seen = 0;
  bool empty() const;  // nothing changes
};

// Each part sorted by name.
Plan make_plan(const Snapshot& before, const Snapshot& after, const std::vector<OpenFlow>& flows);

// For people, one change a line, at most `most` lines a section: "+ listener 10.96.1.10_9000 (Service ...)".
std::string to_text(const Plan& plan, size_t most = 50);

}  // namespace sockmesh::model
