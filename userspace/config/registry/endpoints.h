// Which addresses stand behind a port of a service (docs/istio.md#endpoints, docs/istio.md#serviceentry):
// from EndpointSlices, from selected pods where nobody declared any, from a ServiceEntry's endpoints or the
// workloads it selects. Pure.
#pragma once

#include <string>
#include <vector>

#include "config/registry/registry.h"
#include "config/registry/resource_index.h"
#include "model/snapshot.h"

namespace sockmesh::config {

struct Candidate {
  model::Endpoint endpoint;
  const Labels* labels = nullptr;  // of the pod or entry, for subsets; null: none
  std::string node;
};

// Sorted by address, each address once. Unready pods are there, as unhealthy; terminating ones are not.
std::vector<Candidate> find_endpoints(const ResourceIndex& index, const ServiceDef& def,
                                      const RegistryPort& port);

// The port a pod answers on for this service port; 0 when the pod has no port of that name.
uint16_t target_port(const Pod& pod, const RegistryPort& port);

}  // namespace sockmesh::config
