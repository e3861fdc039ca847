// What a Service needs to find its endpoints, by the keys it looks with: slices by service, pods by address
// and by label, nodes, workload entries. Read-only for the compile steps; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/resources/resources.h"
#include "model/snapshot.h"

namespace sockmesh::config {

class ResourceIndex {
 public:
  explicit ResourceIndex(const Resources& resources);

  // One more, and one less, which must live until the call returns. `others`: the pods there are, without it.
  void add(const EndpointSet& set);
  void remove(const EndpointSet& set);
  void add(const Pod& pod);
  void remove(const Pod& pod, const List<Pod>& others);

  // EndpointSlices of a Service, or its Endpoints object when there is no slice (a cluster mirrors one into
  // the other). FQDN slices are left out, as in Istio.
  std::vector<const EndpointSet*> endpoints_of(const std::string& ns, const std::string& service) const;
  // Whether anybody declared endpoints; otherwise they follow from the selector.
  bool has_endpoints(const std::string& ns, const std::string& service) const;

  std::vector<const Pod*> select_pods(const std::string& ns, const Labels& selector) const;
  const Pod* pod_at(const IpAddress& ip) const;
  std::vector<const WorkloadEntry*> select_entries(const std::string& ns, const Labels& selector) const;

  // Null when nothing is known.
  std::shared_ptr<const model::Locality> locality_of(const Pod& pod) const;
  std::shared_ptr<const model::Locality> locality_of_node(const std::string& name) const;
  model::WorkloadPtr workload_of(const Pod& pod) const;

  const std::unordered_map<IpAddress, const Pod*>& pods_by_address() const { return pods_by_address_; }

 private:
  void add_addresses(const Pod& pod);

  std::unordered_map<std::string, std::vector<const EndpointSet*>> endpoints_;
  std::unordered_map<IpAddress, const Pod*> pods_by_address_;
  std::vector<std::pair<uint64_t, const Pod*>> pods_by_label_;  // sorted by the hash of (namespace, label)
  std::unordered_map<std::string, std::vector<const WorkloadEntry*>> entries_;
  std::unordered_map<std::string, const Node*> nodes_;
  // Made when first asked for, then shared by every endpoint of the same place or pod.
  mutable std::unordered_map<std::string, std::shared_ptr<const model::Locality>> localities_;
  mutable std::unordered_map<const Pod*, model::WorkloadPtr> workloads_;
  mutable std::unordered_map<std::string, model::WorkloadPtr> workloads_by_text_;
};

bool finished(const Pod& pod);  // it ran to its end and serves nobody any more
bool labels_contain(const Labels& labels, const Labels& wanted);

// "region/zone/subzone", parts may be missing.
model::Locality parse_locality(std::string_view text);

// Workload of a pod for metric labels (its node is left out, so that the pods of a controller share one):
// controller name without the ReplicaSet's hash, canonical names as Istio derives them
// (docs/istio.md#metrics).
model::Workload describe(const Pod& pod);

}  // namespace sockmesh::config
