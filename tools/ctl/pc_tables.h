// istioctl's proxy-config tables (docs/istio.md#analyze): columns, filters and order, made from Envoy's own
// shapes. Pure: a list of protos as JSON in, the matching ones or a table of them out.
#pragma once

#include <optional>
#include <string>

#include "ctl/json_text.h"

namespace sockmesh::ctl {

struct ClusterFilter {
  std::string fqdn, direction, subset;  // parts of the name
  std::optional<uint16_t> port;
};
Json filtered_clusters(const Json& clusters, const ClusterFilter& filter);
// With `names`, a first column NAME ("cluster/..."): how `all` shows them.
std::string pc_clusters_table(const Json& clusters, bool names);

struct ListenerFilter {
  std::string address, type;  // type: HTTP, TCP, HTTP+TCP, UNKNOWN
  std::optional<uint16_t> port;
};
Json filtered_listeners(const Json& listeners, const ListenerFilter& filter);
std::string pc_listeners_table(const Json& listeners, bool verbose, bool names);

struct EndpointFilter {
  std::string address, cluster, status;
  std::optional<uint16_t> port;
};
Json filtered_endpoints(const Json& statuses,
                        const EndpointFilter& filter);  // ClusterStatus, without other hosts
std::string pc_endpoints_table(const Json& statuses);
std::string pc_eds_table(const Json& statuses);  // how `all` shows them: NAME, STATUS, LOCALITY, CLUSTER

// TCP has no RouteConfiguration: a route is the tcp_proxy of a filter chain. One row per destination, with
// its share when there are several.
Json routes_of(const Json& listeners,
               const std::string& name);  // [{name, chain, domains, match, ...tcp_proxy}]
std::string pc_routes_table(const Json& routes, bool verbose, bool names);

// Parts the tables share.
std::string chain_match_text(const Json& chain);        // "Trans: tls; Addr: *:15001", "ALL"
std::string chain_destination_text(const Json& chain);  // "Cluster: outbound|...", "PassthroughCluster"
std::string istio_config_text(const Json& object, const char* resource);  // "tcp-echo.default", ""

}  // namespace sockmesh::ctl
