// The listeners of a gateway proxy: really bound ports, from the Gateway resources that select the pod,
// merged as istiod merges them (docs/istio.md#gateways). Pure.
#pragma once

#include <string>
#include <vector>

#include "config/compiler/proxy_view.h"

namespace sockmesh::config {

struct GatewayListeners {
  std::vector<model::ListenerPtr> listeners;
  std::vector<model::ClusterPtr> clusters;  // of AUTO_PASSTHROUGH servers
};
GatewayListeners build_gateway(const ProxyView& view, std::vector<model::Finding>& findings);

// "ns/name" of a gateway as a VirtualService in `ns` names it: "gw", "./gw", "ns/gw",
// "gw.ns.svc.cluster.local"; "mesh" stays.
std::string gateway_key(const std::string& name, const std::string& ns);

// The port the pod listens on for a server port: the targetPort of the oldest Service of the pod that has it;
// `found` tells whether one had.
uint16_t translate_gateway_port(const ProxyView& view, uint16_t number, bool& found);

}  // namespace sockmesh::config
