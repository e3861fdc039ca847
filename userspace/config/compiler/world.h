// What every step of a compilation reads: the resources, the mesh settings with their defaults, the proxy it
// is done for, and the indexes over them. The steps only read it; between two compilations it follows small
// changes. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/compiler/changes.h"
#include "config/compiler/destination_rules.h"
#include "config/compiler/gateway_api.h"
#include "config/compiler/self.h"
#include "config/compiler/visibility.h"

namespace sockmesh::config {

struct World {
  World(const Resources& resources, const ProxyIdentity& identity);

  // Follows changes from its resources to `now`, which concern these hosts (hosts_concerned) and not
  // everything. `now` must become the resources it refers to.
  void follow(const Changes& changes, const Resources& now, const HostSet& hosts);

  const Resources& resources;
  std::shared_ptr<const MeshConfig> mesh;  // never null
  ResourceIndex index;
  DestinationRules rules;
  Registry registry;  // oldest first
  ProxyIdentity identity;
  Self self;
  GatewayApi gateway_api;
  List<Gateway> gateways;  // Istio's, and what Gateway API ones of this pod amount to
  Scope scope;
  bool as_of_1_5 = false;  // compatibilityVersion "1.5" (docs/istio.md#semantics-of-15)

  const MergedRule* rule_for(const Scope::Host& host) const;
  // The wildcard address of the proxy's first family, then that of the other one if it has both.
  std::vector<SocketAddress> wildcards(uint16_t port) const;
  bool reachable(const IpAddress& ip) const { return ip.is_v6() ? self.v6 : self.v4; }
};

}  // namespace sockmesh::config
