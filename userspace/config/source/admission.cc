#include "config/source/admission.h"

#include <fmt/format.h>

#include <algorithm>

namespace sockmesh::config {

namespace {

constexpr char kMeshConfig[] = "ConfigMap istio-system/istio";

// Its MeshConfig, Sidecars that may be its own, its own Pod.
class PolicyScope {
 public:
  PolicyScope(const Resources& resources, const ProxyIdentity& proxy)
      : own_pod_(fmt::format("Pod {}/{}", proxy.ns, proxy.pod)),
        own_sidecars_(fmt::format("Sidecar {}/", proxy.ns)),
        root_sidecars_(
            fmt::format("Sidecar {}/", (resources.mesh ? *resources.mesh : MeshConfig{}).root_namespace)),
        gateway_(proxy.role == Role::kGateway) {}

  bool decides(const std::string& object) const {
    if (object == kMeshConfig || object == own_pod_) return true;
    if (gateway_) return false;  // Sidecars are not for gateways
    return object.starts_with(own_sidecars_) || object.starts_with(root_sidecars_);
  }

 private:
  const std::string own_pod_, own_sidecars_, root_sidecars_;
  const bool gateway_;
};

std::string label(const char* kind, const Meta& meta) {
  return fmt::format("{} {}/{}", kind, meta.ns, meta.name);
}

bool empty(const Resources& r) {
  return !r.mesh && r.services.empty() && r.pods.empty() && r.endpoints.empty() && r.nodes.empty() &&
         r.namespaces.empty() && r.workload_entries.empty() && r.service_entries.empty() &&
         r.virtual_services.empty() && r.destination_rules.empty() && r.gateways.empty() &&
         r.sidecars.empty() && r.policies.empty() && r.k8s_gateways.empty() && r.k8s_routes.empty() &&
         r.reference_grants.empty();
}

// Objects of the kinds that decide policy, for whomever.
PolicyObjects candidates(const Resources& resources, const ProxyIdentity& proxy) {
  PolicyObjects objects;
  if (resources.mesh) objects.insert(kMeshConfig);
  for (const auto& sidecar : resources.sidecars) objects.insert(label("Sidecar", sidecar->meta));
  for (const auto& pod : resources.pods)
    if (pod->meta.name == proxy.pod) objects.insert(label("Pod", pod->meta));
  return objects;
}

}  // namespace

PolicyObjects policy_objects(const Resources& resources, const ProxyIdentity& proxy) {
  const PolicyScope policy(resources, proxy);
  PolicyObjects objects = candidates(resources, proxy);
  std::erase_if(objects, [&](const std::string& object) { return !policy.decides(object); });
  return objects;
}

std::string refusal(const Candidate& candidate, const ProxyIdentity& proxy, const PolicyObjects* in_force) {
  const PolicyObjects present = candidates(candidate.resources, proxy);
  const PolicyScope policy(candidate.resources, proxy);
  // Of an object that was left out and has no last good version.
  const auto broken = [&](const std::string& object) {
    return std::find_if(candidate.problems.begin(), candidate.problems.end(),
                        [&](const ReadProblem& problem) {
                          return problem.object_dropped && !present.contains(problem.object) &&
                                 (object.empty() ? policy.decides(problem.object) : problem.object == object);
                        });
  };
  const auto none = candidate.problems.end();

  if (in_force == nullptr) {
    if (!candidate.unreadable.empty())
      return fmt::format("{}; what it holds may decide policy, and there is no last good configuration",
                         candidate.unreadable);
    if (const auto problem = broken(""); problem != none)
      return fmt::format("{}; it decides policy, and there is no last good one", problem->to_string());
    if (empty(candidate.resources)) return "no object in it yet";
    return "";
  }
  for (const std::string& object : *in_force) {
    if (present.contains(object)) continue;
    if (const auto problem = broken(object); problem != none)
      return fmt::format("{}; it decides policy, and what holds it now has no last good one",
                         problem->to_string());
    if (!candidate.unreadable.empty())
      return fmt::format("{}; {}, which decides policy, is missing and may be in it", candidate.unreadable,
                         object);
  }
  return "";
}

}  // namespace sockmesh::config
