#include "config/compiler/proxy_view.h"

#include <utility>

namespace sockmesh::config {

namespace {

List<Gateway> gateways_for(const Mesh& mesh, const Self& self, const List<Gateway>& generated) {
  if (!self.gateway) return {};
  List<Gateway> all = mesh.resources.gateways;
  all.insert(all.end(), generated.begin(), generated.end());
  return all;
}

}  // namespace

ProxyView::ProxyView(const Mesh& of, const ProxyIdentity& who)
    : mesh(of),
      identity(who),
      self(self_of(mesh.resources, mesh.index, who)),
      gateway_api(translate_gateways(mesh.resources, self, *mesh.config)),
      gateways(gateways_for(mesh, self, gateway_api.gateways)),
      scope(scope_for(mesh.registry, mesh.routes, mesh.resources.sidecars, *mesh.config, self)) {}

void ProxyView::follow(const HostSet& hosts, const Registry& definitions) {
  replace_hosts(scope, hosts,
                scope_for(definitions, mesh.routes, mesh.resources.sidecars, *mesh.config, self));
}

const MergedRule* ProxyView::rule_for(const Scope::Host& host) const {
  return mesh.rules.find(self.ns, self.labels, host.owner->host, host.owner->ns);
}

std::vector<SocketAddress> ProxyView::wildcards(uint16_t port) const {
  std::vector<SocketAddress> addresses;
  if (self.v4) addresses.push_back({IpAddress::any(false), port});
  if (self.v6) addresses.push_back({IpAddress::any(true), port});
  if (self.v4 && self.v6 && !self.ips.empty() && self.ips.front().is_v6())
    std::swap(addresses[0], addresses[1]);
  return addresses;
}

}  // namespace sockmesh::config
