// What every step of a compilation reads: the resources, the mesh settings with their defaults, the proxy it
// is done for, and the indexes over them. Made once, then only read; one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/compiler.h"
#include "config/destination_rules.h"
#include "config/resource_index.h"
#include "config/visibility.h"

namespace sockmesh::config {

// The proxy's own workload, from its Pod object where there is one.
struct Self {
  bool gateway = false;
  std::string name, ns, node;
  Labels labels;
  std::vector<IpAddress> ips;
  std::shared_ptr<const model::Locality> locality;  // null when not known
  std::shared_ptr<const Pod> pod;                   // null when not known
  bool v4 = true, v6 = false;                       // families it can dial and listen on
};

struct World {
  World(const Resources& resources, const ProxyIdentity& identity);

  const Resources& resources;
  std::shared_ptr<const MeshConfig> mesh;  // never null
  ResourceIndex index;
  DestinationRules rules;
  Registry registry;  // oldest first
  ProxyIdentity identity;
  Self self;
  Scope scope;
  bool as_of_1_5 = false;  // compatibilityVersion "1.5": what seed 003 shows

  const MergedRule* rule_for(const Scope::Host& host) const;
  // The wildcard address of the proxy's first family, then that of the other one if it has both.
  std::vector<SocketAddress> wildcards(uint16_t port) const;
  bool reachable(const IpAddress& ip) const { return ip.is_v6() ? self.v6 : self.v4; }
};

}  // namespace sockmesh::config
