#include "config/compiler/clusters.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/local_delivery.h"
#include "config/compiler/locality.h"
#include "config/registry/endpoints.h"
#include "config/resources/hostnames.h"

namespace sockmesh::config {

namespace {

using model::Cluster;
using model::ClusterType;
using model::LbPolicy;

// Istio's ProxyConfig text for "no limit" and "nothing said" are the same: absent.
ClusterType type_of(Discovery discovery, bool gateway) {
  switch (discovery) {
    case Discovery::kEds:
      return ClusterType::kEds;
    case Discovery::kStrictDns:
    case Discovery::kAlias:
      return ClusterType::kStrictDns;
    case Discovery::kLogicalDns:
      return ClusterType::kLogicalDns;
    case Discovery::kNone:
      return gateway ? ClusterType::kEds : ClusterType::kOriginalDst;
    // Istio dials the name that the client gave in its SNI; here it is the address that goes with it.
    case Discovery::kDynamic:
      return ClusterType::kOriginalDst;
  }
  return ClusterType::kEds;
}

void apply_load_balancer(const TrafficPolicy::LoadBalancer* lb, bool as_of_1_5, Cluster& cluster) {
  if (as_of_1_5) cluster.lb = LbPolicy::kRoundRobin;
  if (lb) {
    if (lb->consistent_hash) {
      cluster.lb = lb->maglev ? LbPolicy::kMaglev : LbPolicy::kRingHash;
      cluster.hash_table_size = lb->table_size;
    } else if (lb->simple == "ROUND_ROBIN") {
      cluster.lb = LbPolicy::kRoundRobin;
    } else if (lb->simple == "RANDOM") {
      cluster.lb = LbPolicy::kRandom;
    } else if (lb->simple == "PASSTHROUGH") {
      cluster.type = ClusterType::kOriginalDst;
    } else if (!lb->simple.empty() && lb->simple != "UNSPECIFIED") {
      cluster.lb = LbPolicy::kLeastRequest;
    }
    if (cluster.lb == LbPolicy::kRoundRobin || cluster.lb == LbPolicy::kLeastRequest)
      cluster.slow_start = lb->warmup;
  }
  if (cluster.type == ClusterType::kOriginalDst) {
    cluster.lb = LbPolicy::kClusterProvided;
    cluster.slow_start.reset();
  }
}

void apply_outlier(const TrafficPolicy::Outlier* outlier, Cluster& cluster) {
  if (!outlier) return;
  model::OutlierDetection detection;
  if (outlier->consecutive_5xx) detection.consecutive_5xx = outlier->consecutive_5xx;
  detection.consecutive_gateway = outlier->consecutive_gateway;
  if (outlier->consecutive_local_origin)
    detection.consecutive_local_origin = outlier->consecutive_local_origin;
  detection.split_external_local_origin = outlier->split_external_local_origin;
  if (outlier->interval) detection.interval = *outlier->interval;
  if (outlier->base_ejection_time) detection.base_ejection_time = *outlier->base_ejection_time;
  if (outlier->max_ejection_percent) detection.max_ejection_percent = *outlier->max_ejection_percent;
  cluster.outlier = detection;
  cluster.panic_threshold_percent = outlier->min_health_percent.value_or(0);
}

bool selected(const Subset* subset, const Candidate& candidate) {
  if (!subset || subset->labels.empty()) return true;
  return candidate.labels && labels_contain(*candidate.labels, subset->labels);
}

// What stands behind the port, of all definitions of the host together.
std::vector<Candidate> candidates_of(const ProxyView& view, const Scope::Host& host, uint16_t number) {
  std::vector<Candidate> all;
  for (const auto& def : host.defs) {
    const RegistryPort* port = def->port(number);
    if (!port) continue;
    if (def->discovery == Discovery::kAlias) {
      Candidate outside;
      outside.endpoint.address = model::HostName{def->alias_of, port->port};
      all.push_back(outside);
      continue;
    }
    auto found = find_endpoints(view.mesh.index, *def, *port);
    const bool by_name = def->discovery == Discovery::kStrictDns || def->discovery == Discovery::kLogicalDns;
    if (by_name && def->entry->endpoints.empty() && !def->entry->workload_selector &&
        !is_wildcard(def->host)) {
      Candidate itself;
      itself.endpoint.address =
          model::HostName{def->host, port->target.number != 0 ? port->target.number : port->port};
      found.push_back(itself);
    }
    const bool node_only = def->service && def->service->internal_traffic_local;
    for (Candidate& one : found) {
      if (node_only && one.node != view.self.node) continue;
      if (const auto* at = std::get_if<SocketAddress>(&one.endpoint.address); at && !view.reachable(at->ip))
        continue;
      all.push_back(std::move(one));
    }
  }
  return all;
}

void fill_endpoints(const ProxyView& view, const Scope::Host& host, const Subset* subset,
                    const EffectivePolicy& policy, const std::vector<Candidate>& all, Cluster& cluster) {
  const bool names = cluster.type == ClusterType::kStrictDns || cluster.type == ClusterType::kLogicalDns;
  std::vector<Candidate> chosen;
  for (const Candidate& one : all) {
    if (!selected(subset, one)) continue;
    if (!names && std::holds_alternative<model::HostName>(one.endpoint.address)) continue;
    // With a panic threshold the unready would get traffic, so they are not even told of.
    if (cluster.panic_threshold_percent > 0 && one.endpoint.health != model::Health::kHealthy) continue;
    chosen.push_back(one);
  }
  const LocalitySetting setting =
      locality_setting(policy.load_balancer, host.owner->service.get(), *view.mesh.config);
  cluster.locality_weights = apply_locality(setting, policy.outlier != nullptr,
                                            {view.self.locality, &view.self.labels, view.self.node}, chosen);
  cluster.endpoints.reserve(chosen.size());
  for (Candidate& one : chosen) cluster.endpoints.push_back(std::move(one.endpoint));
}

model::ClusterPtr build_cluster(const ProxyView& view, const Scope::Host& host, const RegistryPort& port,
                                const MergedRule* rule, const Subset* subset,
                                const std::vector<Candidate>& candidates) {
  const ServiceDef& owner = *host.owner;
  auto cluster = std::make_shared<Cluster>();
  cluster->name = outbound_cluster_name(port.port, subset ? subset->name : "", owner.host);
  cluster->type = type_of(owner.discovery, view.self.gateway);
  cluster->service_host = owner.host;
  cluster->service_name = owner.name;
  cluster->service_namespace = owner.ns;
  cluster->service_port = port.port;
  if (subset) cluster->subset = subset->name;
  cluster->origin = owner.origin;
  if (rule) cluster->destination_rule = rule->first->meta.origin(subset ? subset->line : 0);
  if (view.mesh.config->dns_refresh_rate) cluster->dns_refresh = *view.mesh.config->dns_refresh_rate;

  const EffectivePolicy policy = effective_policy(rule, subset, port.port, *view.mesh.config);
  apply_load_balancer(policy.load_balancer, view.mesh.as_of_1_5, *cluster);
  apply_pool(policy.connection_pool, *view.mesh.config, *cluster);
  apply_outlier(policy.outlier, *cluster);
  cluster->proxy_protocol = policy.proxy_protocol;

  if (cluster->type == ClusterType::kOriginalDst) {
    if (owner.entry && port.target.number != 0 && port.target.number != port.port)
      cluster->original_dst_port = port.target.number;
    return cluster;
  }
  fill_endpoints(view, host, subset, policy, candidates, *cluster);
  const bool by_name = cluster->type == ClusterType::kStrictDns || cluster->type == ClusterType::kLogicalDns;
  if (by_name && cluster->endpoints.empty()) return nullptr;  // Istio leaves it out: NC, not UH
  return cluster;
}

model::ClusterPtr builtin(const char* name, ClusterType type, model::Direction direction,
                          const MeshConfig& mesh) {
  auto cluster = std::make_shared<Cluster>();
  cluster->name = name;
  cluster->type = type;
  cluster->direction = direction;
  cluster->origin = model::builtin_origin();
  if (type == ClusterType::kOriginalDst) cluster->lb = LbPolicy::kClusterProvided;
  const auto& floor = mesh.default_traffic_policy;
  const bool capped = name == std::string_view(model::kPassthroughCluster) && floor && floor->connection_pool;
  apply_pool(capped ? &*floor->connection_pool : nullptr, mesh, *cluster);
  return cluster;
}

}  // namespace

std::string outbound_cluster_name(uint16_t port, std::string_view subset, std::string_view host) {
  return fmt::format("outbound|{}|{}|{}", port, subset, host);
}

void apply_pool(const TrafficPolicy::ConnectionPool* pool, const MeshConfig& mesh, Cluster& cluster) {
  if (mesh.connect_timeout) cluster.connect_timeout = *mesh.connect_timeout;
  cluster.keepalive = mesh.keepalive;
  if (!pool) return;
  if (pool->connect_timeout) cluster.connect_timeout = *pool->connect_timeout;
  cluster.max_connections = pool->max_connections;
  if (pool->keepalive) {
    if (!cluster.keepalive) cluster.keepalive.emplace();
    if (pool->keepalive->probes) cluster.keepalive->probes = pool->keepalive->probes;
    if (pool->keepalive->time) cluster.keepalive->time = pool->keepalive->time;
    if (pool->keepalive->interval) cluster.keepalive->interval = pool->keepalive->interval;
  }
}

void bind_inbound_source(const ProxyView& view, Cluster& cluster) {
  if (view.self.v4) cluster.bind_source_v4 = local_delivery_address(false);
  if (view.self.v6) cluster.bind_source_v6 = local_delivery_address(true);
}

namespace {

// One cluster for each port and subset of a host; `keep` narrows the endpoints.
template <typename Keep>
std::vector<model::ClusterPtr> clusters_of(const ProxyView& view, const Scope::Host& host, Keep keep) {
  std::vector<model::ClusterPtr> clusters;
  if (host.owner->discovery == Discovery::kAlias && !view.mesh.as_of_1_5) return clusters;
  const MergedRule* rule = view.rule_for(host);
  std::set<uint16_t> done;
  for (const auto& def : host.defs) {
    for (const RegistryPort& port : def->ports) {
      if (host.ports && !host.ports->contains(port.port)) continue;
      if (!done.insert(port.port).second) continue;
      auto candidates = candidates_of(view, host, port.port);
      std::erase_if(candidates, [&](const Candidate& one) { return !keep(one); });
      const auto add = [&](const Subset* subset) {
        if (auto made = build_cluster(view, host, port, rule, subset, candidates))
          clusters.push_back(std::move(made));
      };
      add(nullptr);
      if (rule)
        for (const Subset* subset : rule->subsets) add(subset);
    }
  }
  return clusters;
}

}  // namespace

std::vector<model::ClusterPtr> build_clusters(const ProxyView& view, const Scope::Host& host) {
  return clusters_of(view, host, [](const Candidate&) { return true; });
}

std::vector<model::ClusterPtr> build_sni_clusters(const ProxyView& view, const Scope::Host& host) {
  const auto clusters = clusters_of(view, host, [](const Candidate& one) {
    if (!one.labels) return false;
    const auto it = one.labels->find("security.istio.io/tlsMode");
    return it != one.labels->end() && it->second == "istio";
  });
  std::vector<model::ClusterPtr> renamed;
  for (const auto& cluster : clusters) {
    auto copy = std::make_shared<Cluster>(*cluster);
    copy->name = fmt::format("outbound_.{}_.{}_.{}", copy->service_port, copy->subset, copy->service_host);
    renamed.push_back(std::move(copy));
  }
  return renamed;
}

std::vector<model::ClusterPtr> builtin_clusters(const ProxyView& view) {
  const MeshConfig& mesh = *view.mesh.config;
  std::vector<model::ClusterPtr> clusters = {
      builtin(model::kBlackHoleCluster, ClusterType::kStatic, model::Direction::kOutbound, mesh)};
  if (view.self.gateway) return clusters;
  clusters.push_back(
      builtin(model::kPassthroughCluster, ClusterType::kOriginalDst, model::Direction::kOutbound, mesh));
  auto inbound = std::make_shared<Cluster>(*builtin(
      model::kInboundPassthroughCluster, ClusterType::kOriginalDst, model::Direction::kInbound, mesh));
  bind_inbound_source(view, *inbound);
  clusters.push_back(std::move(inbound));
  return clusters;
}

}  // namespace sockmesh::config
