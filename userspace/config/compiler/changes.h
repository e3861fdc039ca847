// What differs between two states of the resources, and which hosts that concerns. Pure.
#pragma once

#include <string>
#include <unordered_set>

#include "config/resources/resources.h"

namespace sockmesh::config {

struct World;
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
  bool others = false;    // of a kind that changes rarely and concerns everything

  bool none() const { return size() == 0 && !sidecars && !gateways && !others; }
  size_t size() const;  // in objects, the last three left out
};

// Objects that did not change must be the same pointers.
Changes changes_between(const Resources& before, const Resources& after);

// Whether a sidecar's world cannot follow the changes: they concern the proxy itself, or what every host
// depends on.
bool concerns_everything(const World& world, const Changes& changes, const Resources& after);

// The hosts whose definitions, endpoints, routes or rules the changes concern.
HostSet hosts_concerned(const World& world, const Changes& changes);

// The hosts that have a route to one of these.
HostSet hosts_routed_to(const World& world, const HostSet& hosts);

}  // namespace sockmesh::config
