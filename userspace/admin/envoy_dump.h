// The Snapshot in the shapes of Envoy's admin interface (config_dump, clusters?format=json, server_info),
// with Envoy's own field names, so that `istioctl proxy-config -f`, scripts made for Envoy and `sockmeshctl
// proxy-config` all read it. Only what is true of this proxy is in it: every chain ends in a tcp_proxy, there
// are no routes of HTTP and no secrets. Pure, any thread.
#pragma once

#include <string>
#include <vector>

#include "admin/sources.h"
#include "admin/views.h"

namespace sockmesh::admin {

struct DumpRequest {
  bool include_eds = false;
  std::string mask;  // Envoy's: comma list of "dynamic_listeners", "dynamic_active_clusters", ...; "" all
};
Json config_dump(const model::Snapshot& snapshot, const AgentStatus& status, const DumpRequest& request);

Json cluster_statuses(const model::Snapshot& snapshot, const std::vector<EndpointState>& states);
// The text form of the same: "name::address::cx_active::1" lines.
std::string cluster_statuses_text(const model::Snapshot& snapshot, const std::vector<EndpointState>& states);

Json server_info(const AgentStatus& status, const Readiness& readiness, const model::Snapshot* snapshot,
                 WallTime now);

}  // namespace sockmesh::admin
