// Outbound clusters: one per host, port and subset (docs/istio.md#outbound-clusters), and those that exist
// whatever is configured. Pure.
#pragma once

#include <string>
#include <vector>

#include "config/compiler/proxy_view.h"

namespace sockmesh::config {

// "outbound|9000|v1|echo.default.svc.cluster.local"
std::string outbound_cluster_name(uint16_t port, std::string_view subset, std::string_view host);

// The clusters of every port of a host, subsets included.
std::vector<model::ClusterPtr> build_clusters(const ProxyView& view, const Scope::Host& host);

// The same as AUTO_PASSTHROUGH gateways name them, "outbound_.9000_.v1_.echo.default.svc.cluster.local", with
// only the endpoints that speak Istio's mutual TLS.
std::vector<model::ClusterPtr> build_sni_clusters(const ProxyView& view, const Scope::Host& host);

// PassthroughCluster, BlackHoleCluster, InboundPassthroughCluster; of a gateway the second only.
std::vector<model::ClusterPtr> builtin_clusters(const ProxyView& view);

// connectionPool.tcp onto a cluster; a null pool gives the mesh's own settings.
void apply_pool(const TrafficPolicy::ConnectionPool* pool, const MeshConfig& mesh, model::Cluster& cluster);

// 127.0.0.6 and ::6, from where inbound connections are dialled so that the rules let them pass.
void bind_inbound_source(const ProxyView& view, model::Cluster& cluster);

}  // namespace sockmesh::config
