#include "config/compiler/self.h"

#include <algorithm>

namespace sockmesh::config {

Self self_of(const Resources& resources, const ResourceIndex& index, const ProxyIdentity& identity) {
  Self self;
  self.gateway = identity.role == Role::kGateway;
  self.name = identity.pod;
  self.ns = identity.ns;
  self.node = identity.node;
  self.labels = identity.labels;
  self.ips = identity.ips;
  const auto own = std::find_if(resources.pods.begin(), resources.pods.end(), [&](const auto& pod) {
    return pod->meta.name == identity.pod && pod->meta.ns == identity.ns;
  });
  if (own != resources.pods.end()) {
    self.pod = *own;
    self.labels = self.pod->meta.labels;
    if (self.ips.empty()) self.ips = self.pod->ips;
    if (!self.pod->node.empty()) self.node = self.pod->node;
    self.locality = index.locality_of(*self.pod);
  }
  if (!self.locality) self.locality = index.locality_of_node(self.node);
  if (self.ips.empty()) {
    self.v6 = true;  // nothing is known: leave nothing out
    return self;
  }
  const auto has = [&](bool v6) {
    return std::any_of(self.ips.begin(), self.ips.end(), [&](const auto& ip) { return ip.is_v6() == v6; });
  };
  self.v4 = has(false);
  self.v6 = has(true);
  return self;
}

}  // namespace sockmesh::config
