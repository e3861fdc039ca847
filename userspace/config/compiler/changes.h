// What differs between two states of the resources, which hosts that concerns, and whether a proxy has
// anything to do with it. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_set>

#include "config/registry/registry.h"
#include "config/resources/resources.h"

namespace sockmesh::config {

struct Mesh;
struct ProxyView;
using HostSet = std::unordered_set<std::string>;

template <typename T>
struct Change {
  List<T> gone, come;  // what changed is in both
  bool none() const { return gone.empty() && come.empty(); }
  size_t size() const { return gone.size() + come.size(); }
};

struct Changes {
  Change<Service> services;
  Change<Pod> pods;
  Change<EndpointSet> endpoints;
  Change<ServiceEntry> service_entries;
  Change<VirtualService> virtual_services;
  Change<DestinationRule> destination_rules;
  bool sidecars = false;
  bool gateways = false;  // Istio's
  bool others = false;    // of a kind that changes rarely and concerns everything: no mesh follows these

  bool none() const { return size() == 0 && !sidecars && !gateways && !others; }
  size_t size() const;  // in objects, the last three left out
};

// Objects that did not change must be the same pointers.
Changes changes_between(const Resources& before, const Resources& after);

// Beyond so many objects or hosts a full compilation is faster.
inline constexpr size_t kFew = 500;

// The hosts whose definitions, endpoints, routes or rules the changes concern, whoever sees them.
HostSet hosts_concerned(const Mesh& before, const Changes& changes);

// Whether a sidecar's view cannot follow changes that its mesh can: they concern the proxy itself, or what
// every host that it sees depends on.
bool concerns_everything(const ProxyView& before, const Changes& changes, const Resources& after);

// The hosts that have a route to one of these.
HostSet hosts_routed_to(const ProxyView& view, const HostSet& hosts);

// Whether a sidecar, whose view followed or is about to follow these changes, neither sees nor is reached by
// what they are about. If it is so before and after, its snapshot stays as it is. `definitions`: those of the
// hosts concerned.
bool out_of_sight(const ProxyView& view, const Changes& changes, const HostSet& hosts,
                  const Registry& definitions);

}  // namespace sockmesh::config
