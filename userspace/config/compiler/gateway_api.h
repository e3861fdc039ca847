// Gateway API as Istio reads it: Gateways, TCPRoutes and TLSRoutes become Istio Gateways and VirtualServices
// (docs/istio.md#gateway-api), so that everything after knows one kind of route. Pure.
#pragma once

#include <vector>

#include "config/compiler/self.h"

namespace sockmesh::config {

// Routes are the same for every proxy.
struct GatewayApiRoutes {
  List<VirtualService> routes;
  std::vector<model::Finding> findings;
};
GatewayApiRoutes translate_routes(const Resources& resources, const MeshConfig& mesh);

// Gateways are those that the proxy serves: none of a sidecar.
struct GatewayApiGateways {
  List<Gateway> gateways;
  std::vector<model::Finding> findings;
};
GatewayApiGateways translate_gateways(const Resources& resources, const Self& self, const MeshConfig& mesh);

}  // namespace sockmesh::config
