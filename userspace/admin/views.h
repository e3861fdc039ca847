// Views: the documented JSON contract of the admin socket (README.md says it field by field, a test
// compares). sockmeshctl prints its tables from these values, online as they come from an agent, offline made
// from a folder. Pure, any thread. Objects keep the order of their fields, for people.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "admin/sources.h"
#include "base/clock.h"
#include "model/explain.h"
#include "model/snapshot.h"

namespace sockmesh::admin {

using Json = nlohmann::ordered_json;

// Sorted by id.
Json flows_view(const FlowListing& listing, MonotonicTime now);
Json flow_view(const telemetry::ConnectionRecord& record, MonotonicTime now);

// Sorted by direction, name. `unbound` is empty offline.
Json listeners_view(const model::Snapshot& snapshot, const std::vector<UnboundPort>& unbound);
Json clusters_view(const model::Snapshot& snapshot);
// Sorted by cluster, priority, address. `states` may be empty (offline).
Json endpoints_view(const model::Snapshot& snapshot, const std::vector<EndpointState>& states);

// `snapshot` may be null: no configuration yet.
Json status_view(const AgentStatus& status, const Readiness& readiness, const model::Snapshot* snapshot,
                 WallTime now);

// `flow` when the question was about an open connection: what really happened to it.
Json explanation_view(const model::Explanation& explanation, const std::vector<EndpointState>& states,
                      const telemetry::ConnectionRecord* flow, MonotonicTime now);

}  // namespace sockmesh::admin
