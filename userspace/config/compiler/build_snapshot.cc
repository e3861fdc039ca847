#include "config/compiler/build_snapshot.h"

#include "base/strings.h"
#include "config/compiler/clusters.h"
#include "config/compiler/gateway.h"
#include "config/compiler/inbound.h"
#include "config/compiler/outbound.h"
#include "config/resources/egress_annotations.h"
#include "model/finding_codes.h"
#include "model/snapshot_version.h"

namespace sockmesh::config {

namespace {

// Returns the first entry that is no CIDR block, "" when there is none.
std::string add_prefixes(const std::string& text, std::vector<Prefix>& to) {
  std::string bad;
  for (std::string_view part : split(text, ',')) {
    if (trim(part).empty()) continue;
    if (const auto prefix = Prefix::parse(trim(part))) {
      to.push_back(*prefix);
    } else if (bad.empty()) {
      bad = trim(part);
    }
  }
  return bad;
}

model::Finding bad_annotation(const Pod& pod, const char* name, const std::string& bad, const char* effect) {
  return model::make_finding(
      "SM0301", pod.meta.origin(),
      fmt::format("annotation {}: '{}': expected a comma list of CIDR blocks; {}", name, bad, effect));
}

// The mesh's lists and, from annotations of the pod, its own on top. An entry that cannot be read never lets
// more out: a permit less closes, and a list of blocks with a hole blocks everything.
model::EgressPolicy egress_policy(const ProxyView& view, std::vector<model::Finding>& findings) {
  model::EgressPolicy policy;
  policy.permit = view.mesh.config->egress_permit;
  policy.block = view.mesh.config->egress_block;
  policy.block_all = view.mesh.config->egress_block_all;
  policy.origin = view.mesh.config->meta.origin();
  if (!view.self.pod) return policy;
  const auto annotation = [&](const char* name) -> const std::string* {
    const auto it = view.self.pod->meta.annotations.find(name);
    return it == view.self.pod->meta.annotations.end() ? nullptr : &it->second;
  };
  if (const std::string* permit = annotation(kEgressPermit)) {
    if (const std::string bad = add_prefixes(*permit, policy.permit); !bad.empty())
      findings.push_back(bad_annotation(*view.self.pod, kEgressPermit, bad, "this one permits nothing"));
    policy.origin = view.self.pod->meta.origin();
  }
  if (const std::string* block = annotation(kEgressBlock)) {
    if (trim(*block) == "*") {
      policy.block_all = true;
    } else if (const std::string bad = add_prefixes(*block, policy.block); !bad.empty()) {
      policy.block_all = true;
      findings.push_back(bad_annotation(*view.self.pod, kEgressBlock, bad,
                                        "until it is one, all egress outside of the registry is blocked"));
    }
    policy.origin = view.self.pod->meta.origin();
  }
  return policy;
}

model::MeshSettings settings_of(const ProxyView& view) {
  model::MeshSettings settings;
  settings.access_log_file = view.mesh.config->access_log_file;
  settings.access_log_encoding = view.mesh.config->access_log_encoding;
  settings.access_log_format = view.mesh.config->access_log_format;
  settings.compatibility_version = view.mesh.config->compatibility_version;
  settings.trust_domain = view.mesh.config->trust_domain;
  settings.mesh_id = view.mesh.config->mesh_id;
  settings.cluster_id = view.identity.cluster_id;
  settings.protocol_detection_timeout = view.mesh.config->protocol_detection_timeout;
  return settings;
}

model::Workload own_workload(const ProxyView& view) {
  if (view.self.pod) return *view.mesh.index.workload_of(*view.self.pod);
  Pod pod;
  pod.meta.name = view.self.name;
  pod.meta.ns = view.self.ns;
  pod.meta.labels = view.self.labels;
  return describe(pod);
}

}  // namespace

Built build_snapshot(const ProxyView& view) {
  Built built;
  built.snapshot = std::make_shared<model::Snapshot>();
  auto& snapshot = built.snapshot;
  snapshot->generation = 1;
  snapshot->self = own_workload(view);
  snapshot->self.node = view.self.node;
  snapshot->self.cluster_id = view.identity.cluster_id;
  snapshot->self_labels = view.self.labels;
  snapshot->self_ips = view.self.ips;
  snapshot->mesh = settings_of(view);
  for (const auto* found : {&view.gateway_api.findings, &view.mesh.gateway_api.findings})
    snapshot->findings.insert(snapshot->findings.end(), found->begin(), found->end());
  snapshot->egress = egress_policy(view, snapshot->findings);
  built.lasting_findings = snapshot->findings;

  const auto add_clusters = [&](const std::vector<model::ClusterPtr>& clusters) {
    for (const auto& cluster : clusters) snapshot->clusters.emplace(cluster->name, cluster);
  };
  // Most hosts have one port, and there are a few of the proxy's own.
  snapshot->clusters.reserve(view.scope.hosts.size() + 16);
  add_clusters(builtin_clusters(view));
  for (const auto& [host, entry] : view.scope.hosts) add_clusters(build_clusters(view, entry));

  if (view.self.gateway) {
    GatewayListeners gateway = build_gateway(view, snapshot->findings);
    add_clusters(gateway.clusters);
    snapshot->listeners = std::move(gateway.listeners);
  } else {
    for (auto& finding : outbound_findings(view)) snapshot->findings.push_back(std::move(finding));
    auto outbound = build_outbound(view);
    snapshot->listeners.reserve(outbound.size() + 2);
    for (auto& one : outbound) {
      if (one.listener) {
        snapshot->listeners.push_back(std::move(one.listener));
      } else {
        snapshot->findings.push_back(*one.refusal);
        built.refused.emplace(one.at, *one.refusal);
      }
    }
    built.outbound = snapshot->listeners.size();
    snapshot->listeners.push_back(build_virtual_outbound(view));
    Inbound inbound = build_inbound(view);
    add_clusters(inbound.clusters);
    for (const auto& cluster : inbound.clusters) built.inbound_clusters.push_back(cluster->name);
    for (auto& listener : inbound.listeners) snapshot->listeners.push_back(std::move(listener));
  }

  snapshot->workloads = view.mesh.workloads;
  built.sum = content_sum(*snapshot);
  snapshot->version = built.sum.version();
  snapshot->index();
  return built;
}

}  // namespace sockmesh::config
