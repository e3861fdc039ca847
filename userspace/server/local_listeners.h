// Local listeners: applications of the pod that listen on loopback alone, on a port that a Service exposes.
// Inbound connections are dialled at the pod's own address (inboundTrafficPolicy PASSTHROUGH), where nobody
// listens then: Istio's IST0143, found as `istioctl x precheck` does, by looking at the pod's sockets.
#pragma once

#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

#include "model/snapshot.h"
#include "net/network_namespace.h"

namespace sockmesh::server {

// From the text of /proc/net/tcp and tcp6: ports on which somebody listens, but on loopback addresses alone.
std::set<uint16_t> loopback_only_ports(std::string_view tcp, std::string_view tcp6);

// The findings about the pod; empty where the ports are not exposed, or dialled on loopback.
std::vector<model::Finding> localhost_findings(const model::Snapshot& snapshot,
                                               const std::set<uint16_t>& loopback_only,
                                               const model::OriginPtr& pod);

// Both, of the pod's network namespace; none when it cannot be entered. Any thread.
std::vector<model::Finding> look_for_local_listeners(const model::Snapshot& snapshot,
                                                     const net::NetworkNamespace& network,
                                                     const model::OriginPtr& pod);

}  // namespace sockmesh::server
