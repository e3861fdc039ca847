// What a proxy can see (docs/istio.md#visibility): services exported to its namespace, narrowed by the
// Sidecar resource that applies to it, the VirtualServices of the mesh in their order of precedence, and who
// owns a host name that several define. Pure.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/compiler/changes.h"
#include "config/compiler/self.h"
#include "config/registry/registry.h"

namespace sockmesh::config {

// Services of one Sidecar egress listener, or all of them.
struct EgressGroup {
  const Sidecar::Egress* listener = nullptr;  // null: no Sidecar narrows anything
  struct Import {
    ServiceDefPtr def;
    std::optional<uint16_t> only_port;
  };
  std::vector<Import> services;                               // oldest first
  std::vector<std::shared_ptr<const VirtualService>> routes;  // the first that matches wins
};

struct Scope {
  std::shared_ptr<const Sidecar> sidecar;  // null: none applies
  std::vector<EgressGroup> groups;

  // A host the proxy has clusters for.
  struct Host {
    ServiceDefPtr owner;
    std::vector<ServiceDefPtr> defs;          // all of the owner's namespace, oldest first
    std::optional<std::set<uint16_t>> ports;  // absent: every port
    const RegistryPort* port(uint16_t number) const;
    size_t declared_ports() const;
  };
  std::unordered_map<std::string, Host> hosts;

  struct Hidden {
    ServiceDefPtr def;
    std::string reason;
  };
  std::vector<Hidden> hidden;  // what is there and not seen, for explanations; by host

  bool registry_only = false;
  std::optional<Destination> egress_proxy;
  model::OriginPtr policy_origin;

  // The host a destination means, through aliases (ExternalName); null when the proxy does not know it.
  const Host* find(const std::string& host) const;
};

// Of `all`, which are by age, those that a namespace may use, in order: private ones, those exported to it by
// name, public ones; each part oldest first.
List<VirtualService> visible_routes(const List<VirtualService>& all, const std::string& ns,
                                    const MeshConfig& mesh);

// The Sidecar resource for a workload, null when none applies.
std::shared_ptr<const Sidecar> sidecar_for(const List<Sidecar>& all, const std::string& ns,
                                           const Labels& labels, const MeshConfig& mesh);

// Of the definitions in `registry` alone: what is decided about one host does not depend on the others.
// `all_routes` are by age.
Scope scope_for(const Registry& registry, const List<VirtualService>& all_routes,
                const List<Sidecar>& sidecars, const MeshConfig& mesh, const Self& self);

// Puts what `part`, the scope of the definitions of these hosts, says in place of what `scope` said about
// them. The Sidecar must be the same.
void replace_hosts(Scope& scope, const HostSet& hosts, Scope part);

}  // namespace sockmesh::config
