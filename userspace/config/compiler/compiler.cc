#include "config/compiler/compiler.h"

#include "base/strings.h"
#include "config/compiler/clusters.h"
#include "config/compiler/gateway.h"
#include "config/compiler/inbound.h"
#include "config/compiler/outbound.h"
#include "config/compiler/world_snapshot.h"
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
model::EgressPolicy egress_policy(const World& world, std::vector<model::Finding>& findings) {
  model::EgressPolicy policy;
  policy.permit = world.mesh->egress_permit;
  policy.block = world.mesh->egress_block;
  policy.block_all = world.mesh->egress_block_all;
  policy.origin = world.mesh->meta.origin();
  if (!world.self.pod) return policy;
  const auto annotation = [&](const char* name) -> const std::string* {
    const auto it = world.self.pod->meta.annotations.find(name);
    return it == world.self.pod->meta.annotations.end() ? nullptr : &it->second;
  };
  if (const std::string* permit = annotation(kEgressPermit)) {
    if (const std::string bad = add_prefixes(*permit, policy.permit); !bad.empty())
      findings.push_back(bad_annotation(*world.self.pod, kEgressPermit, bad, "this one permits nothing"));
    policy.origin = world.self.pod->meta.origin();
  }
  if (const std::string* block = annotation(kEgressBlock)) {
    if (trim(*block) == "*") {
      policy.block_all = true;
    } else if (const std::string bad = add_prefixes(*block, policy.block); !bad.empty()) {
      policy.block_all = true;
      findings.push_back(bad_annotation(*world.self.pod, kEgressBlock, bad,
                                        "until it is one, all egress outside of the registry is blocked"));
    }
    policy.origin = world.self.pod->meta.origin();
  }
  return policy;
}

model::MeshSettings settings_of(const World& world) {
  model::MeshSettings settings;
  settings.access_log_file = world.mesh->access_log_file;
  settings.access_log_encoding = world.mesh->access_log_encoding;
  settings.access_log_format = world.mesh->access_log_format;
  settings.compatibility_version = world.mesh->compatibility_version;
  settings.trust_domain = world.mesh->trust_domain;
  settings.mesh_id = world.mesh->mesh_id;
  settings.cluster_id = world.identity.cluster_id;
  settings.protocol_detection_timeout = world.mesh->protocol_detection_timeout;
  return settings;
}

model::Workload own_workload(const World& world) {
  if (world.self.pod) return *world.index.workload_of(*world.self.pod);
  Pod pod;
  pod.meta.name = world.self.name;
  pod.meta.ns = world.self.ns;
  pod.meta.labels = world.self.labels;
  return describe(pod);
}

std::shared_ptr<const model::WorkloadTable> workload_table(const World& world) {
  auto table = std::make_shared<model::WorkloadTable>();
  table->reserve(world.index.pods_by_address().size());
  for (const auto& [ip, pod] : world.index.pods_by_address())
    table->emplace(ip, world.index.workload_of(*pod));
  return table;
}

}  // namespace

Built build_snapshot(const World& world) {
  Built built;
  built.snapshot = std::make_shared<model::Snapshot>();
  auto& snapshot = built.snapshot;
  snapshot->generation = 1;
  snapshot->self = own_workload(world);
  snapshot->self.node = world.self.node;
  snapshot->self.cluster_id = world.identity.cluster_id;
  snapshot->self_labels = world.self.labels;
  snapshot->self_ips = world.self.ips;
  snapshot->mesh = settings_of(world);
  snapshot->findings = world.gateway_api.findings;
  snapshot->egress = egress_policy(world, snapshot->findings);

  const auto add_clusters = [&](const std::vector<model::ClusterPtr>& clusters) {
    for (const auto& cluster : clusters) snapshot->clusters.emplace(cluster->name, cluster);
  };
  // Most hosts have one port, and there are a few of the proxy's own.
  snapshot->clusters.reserve(world.scope.hosts.size() + 16);
  add_clusters(builtin_clusters(world));
  for (const auto& [host, entry] : world.scope.hosts) add_clusters(build_clusters(world, entry));

  if (world.self.gateway) {
    GatewayListeners gateway = build_gateway(world, snapshot->findings);
    add_clusters(gateway.clusters);
    snapshot->listeners = std::move(gateway.listeners);
  } else {
    for (auto& finding : outbound_findings(world)) snapshot->findings.push_back(std::move(finding));
    auto outbound = build_outbound(world);
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
    snapshot->listeners.push_back(build_virtual_outbound(world));
    Inbound inbound = build_inbound(world);
    add_clusters(inbound.clusters);
    for (const auto& cluster : inbound.clusters) built.inbound_clusters.push_back(cluster->name);
    for (auto& listener : inbound.listeners) snapshot->listeners.push_back(std::move(listener));
  }

  snapshot->workloads = workload_table(world);
  built.sum = content_sum(*snapshot);
  snapshot->version = built.sum.version();
  snapshot->index();
  return built;
}

model::SnapshotPtr compile(const Resources& resources, const ProxyIdentity& proxy) {
  return build_snapshot(World(resources, proxy)).snapshot;
}

}  // namespace sockmesh::config
