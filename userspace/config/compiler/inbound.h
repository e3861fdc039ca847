// The inbound side of a sidecar: virtualInbound with a chain for each target port that a Service of the own
// pod declares, or for each ingress listener of the Sidecar resource, and their clusters
// (docs/istio.md#virtualinbound). Pure.
#pragma once

#include <vector>

#include "config/compiler/proxy_view.h"

namespace sockmesh::config {

struct Inbound {
  std::vector<model::ListenerPtr> listeners;
  std::vector<model::ClusterPtr> clusters;
};
Inbound build_inbound(const ProxyView& view);

// Whether some port of the service leads to the proxy's own pod.
bool reaches_self(const ProxyView& view, const ServiceDef& def);

}  // namespace sockmesh::config
