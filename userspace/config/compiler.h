// The compiler: Resources and "which proxy am I" in, Snapshot out. Pure and deterministic: the same resources
// in any order give the same Snapshot, and it decides as istiod and Envoy together would for everything that
// concerns TCP (facts: istio.md section 2). `explain`, `analyze`, `apply --plan` and the tests are other
// callers of it.
#pragma once

#include <string>

#include "config/resources.h"
#include "model/snapshot.h"

namespace sockmesh::config {

enum class Role : uint8_t { kSidecar, kGateway };

struct ProxyIdentity {
  Role role = Role::kSidecar;
  std::string pod, ns;         // POD_NAME, POD_NAMESPACE
  std::vector<IpAddress> ips;  // INSTANCE_IP(S); empty: from the Pod object
  Labels labels;               // used only when no Pod object is known
  std::string node, cluster_id = "Kubernetes";
  bool tproxy = false;  // interception mode
};

// Never fails: what is wrong with a resource becomes a finding of the snapshot, and the rest is compiled.
model::SnapshotPtr compile(const Resources& resources, const ProxyIdentity& proxy);

}  // namespace sockmesh::config
