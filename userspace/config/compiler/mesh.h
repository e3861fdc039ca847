// The mesh of a compilation: the resources, MeshConfig with its defaults, and what follows from them for
// whatever proxy: indexes, the registry, the rules and the routes. Built once for all proxies that are
// compiled for from one state of the resources; between two compilations it follows small changes, once for
// all of them. The steps of a compilation only read it. Owns the resources; what refers to it (ProxyView)
// must not outlive it. One thread.
#pragma once

#include <memory>

#include "config/compiler/changes.h"
#include "config/compiler/destination_rules.h"
#include "config/compiler/gateway_api.h"
#include "config/registry/registry.h"
#include "config/registry/resource_index.h"
#include "model/snapshot.h"

namespace sockmesh::config {

struct Mesh {
  explicit Mesh(Resources all);
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;

  // Follows changes from its resources to `now`, which are none of those that it cannot (Changes::others).
  void follow(const Changes& changes, Resources now);

  // What there is of these hosts, oldest first.
  Registry definitions_of(const HostSet& hosts) const;

  Resources resources;
  std::shared_ptr<const MeshConfig> config;  // never null
  ResourceIndex index;
  DestinationRules rules;
  Registry registry;
  GatewayApiRoutes gateway_api;
  List<VirtualService> routes;  // VirtualServices and what Gateway API routes amount to, by age
  std::shared_ptr<const model::WorkloadTable> workloads;  // shared by the snapshots of all proxies
  bool as_of_1_5 = false;  // compatibilityVersion "1.5" (docs/istio.md#semantics-of-15)
};

}  // namespace sockmesh::config
