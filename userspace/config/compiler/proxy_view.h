// What every step of a compilation reads: the mesh as one proxy sees it, that is, who the proxy is and what
// of the mesh is in its scope. The steps only read it; between two compilations it follows small changes
// after its mesh did. Refers to the mesh, which is shared with the views of other proxies and has to outlive
// it. One thread, that of the mesh.
#pragma once

#include <vector>

#include "config/compiler/mesh.h"
#include "config/compiler/self.h"
#include "config/compiler/visibility.h"

namespace sockmesh::config {

struct ProxyView {
  ProxyView(const Mesh& mesh, const ProxyIdentity& identity);

  // After the mesh followed changes that concern these hosts (hosts_concerned), and not everything.
  // `definitions`: those of these hosts that there are now.
  void follow(const HostSet& hosts, const Registry& definitions);

  const Mesh& mesh;
  ProxyIdentity identity;
  Self self;
  GatewayApiGateways gateway_api;
  List<Gateway> gateways;  // of a gateway: Istio's, and what Gateway API ones of this pod amount to
  Scope scope;

  const MergedRule* rule_for(const Scope::Host& host) const;
  // The wildcard address of the proxy's first family, then that of the other one if it has both.
  std::vector<SocketAddress> wildcards(uint16_t port) const;
  bool reachable(const IpAddress& ip) const { return ip.is_v6() ? self.v6 : self.v4; }
};

}  // namespace sockmesh::config
