// Gateway API as Istio reads it: Gateways, TCPRoutes and TLSRoutes become Istio Gateways and VirtualServices
// (docs/istio.md#gateway-api), so that everything after knows one kind of route. Pure.
#pragma once

#include <vector>

#include "config/compiler/self.h"

namespace sockmesh::config {

struct GatewayApi {
  List<Gateway> gateways;  // those that the proxy serves; none for sidecars
  List<VirtualService> routes;
  std::vector<model::Finding> findings;
};
GatewayApi translate_gateway_api(const Resources& resources, const Self& self, const MeshConfig& mesh);

}  // namespace sockmesh::config
