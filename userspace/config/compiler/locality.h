// Locality load balancing: priorities (failover) and shares (distribute) of endpoints as seen from the
// proxy's own place (docs/istio.md#locality; Istio's pilot/pkg/networking/core/loadbalancer). Pure.
#pragma once

#include <string>
#include <vector>

#include "config/registry/endpoints.h"

namespace sockmesh::config {

struct LocalityView {
  std::shared_ptr<const model::Locality> place;  // the proxy's; null: nothing is done
  const Labels* labels = nullptr;                // the proxy's
  std::string node;
};

// The effective setting: a DestinationRule's block, else the Service's trafficDistribution, else the mesh's.
struct LocalitySetting {
  bool enabled = true;
  bool needs_outlier = true;  // failover by health is of no use if nothing ever becomes unhealthy
  std::vector<TrafficPolicy::LoadBalancer::Distribute> distribute;
  std::vector<TrafficPolicy::LoadBalancer::Failover> failover;
  std::vector<std::string> failover_priority;
};
LocalitySetting locality_setting(const TrafficPolicy::LoadBalancer* rule, const Service* service,
                                 const MeshConfig& mesh);

// Sets priorities of `candidates`, or removes what `distribute` does not mention and returns the shares.
std::vector<model::LocalityWeight> apply_locality(const LocalitySetting& setting, bool has_outlier,
                                                  const LocalityView& view,
                                                  std::vector<Candidate>& candidates);

}  // namespace sockmesh::config
