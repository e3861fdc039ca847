#include "admin/envoy_dump.h"

#include <algorithm>
#include <map>

#include "admin/view_parts.h"
#include "base/strings.h"

namespace sockmesh::admin {

namespace {

std::string type_url(const char* type) { return fmt::format("type.googleapis.com/envoy.{}", type); }

std::string duration_text(Duration duration) { return fmt::format("{}s", seconds(duration)); }

Json socket_address(const SocketAddress& address) {
  return {{"socket_address", {{"address", address.ip.to_string()}, {"port_value", address.port}}}};
}

Json address_of(const model::EndpointAddress& address) {
  if (const auto* socket = std::get_if<SocketAddress>(&address)) return socket_address(*socket);
  if (const auto* host = std::get_if<model::HostName>(&address))
    return {{"socket_address", {{"address", host->name}, {"port_value", host->port}}}};
  return {{"pipe", {{"path", std::get<model::UnixPath>(address).path}}}};
}

const char* health_name(model::Health health) {
  switch (health) {
    case model::Health::kHealthy:
      return "HEALTHY";
    case model::Health::kUnhealthy:
      return "UNHEALTHY";
    case model::Health::kDraining:
      return "DRAINING";
  }
  return "UNKNOWN";
}

Json locality_of(const model::Endpoint& endpoint) {
  Json locality = Json::object();
  if (!endpoint.locality) return locality;
  const auto put = [&](const char* key, const std::string& value) {
    if (!value.empty()) locality[key] = value;
  };
  put("region", endpoint.locality->region);
  put("zone", endpoint.locality->zone);
  put("sub_zone", endpoint.locality->subzone);
  return locality;
}

// Istio's path of an object, as it stands in its cluster and listener metadata.
std::string api_path(const model::Origin& origin, const char* resource) {
  return fmt::format("/apis/networking.istio.io/v1/namespaces/{}/{}/{}", origin.ns, resource, origin.name);
}

Json load_assignment(const model::Cluster& cluster) {
  std::map<std::pair<uint32_t, model::Locality>, Json>
      groups;  // by priority and locality, as Envoy groups them
  for (const model::Endpoint& endpoint : cluster.endpoints) {
    Json& group = groups[{endpoint.priority, endpoint.locality ? *endpoint.locality : model::Locality{}}];
    if (group.is_null()) {
      group = {{"locality", locality_of(endpoint)}, {"lb_endpoints", Json::array()}};
      if (endpoint.priority > 0) group["priority"] = endpoint.priority;
    }
    group["lb_endpoints"].push_back({{"endpoint", {{"address", address_of(endpoint.address)}}},
                                     {"health_status", health_name(endpoint.health)},
                                     {"load_balancing_weight", endpoint.weight}});
  }
  Json endpoints = Json::array();
  for (auto& [key, group] : groups) endpoints.push_back(std::move(group));
  return {{"cluster_name", cluster.name}, {"endpoints", std::move(endpoints)}};
}

Json cluster_metadata(const model::Cluster& cluster) {
  Json istio = Json::object();
  if (cluster.destination_rule) istio["config"] = api_path(*cluster.destination_rule, "destination-rule");
  if (cluster.service_port) istio["default_original_port"] = cluster.service_port;
  if (!cluster.subset.empty()) istio["subset"] = cluster.subset;
  if (!cluster.service_host.empty())
    istio["services"] = {{{"host", cluster.service_host},
                          {"name", cluster.service_name},
                          {"namespace", cluster.service_namespace}}};
  return istio.empty() ? Json(nullptr) : Json{{"filter_metadata", {{"istio", std::move(istio)}}}};
}

Json outlier_of(const model::OutlierDetection& outlier) {
  Json json = {{"interval", duration_text(outlier.interval)},
               {"base_ejection_time", duration_text(outlier.base_ejection_time)},
               {"max_ejection_percent", outlier.max_ejection_percent}};
  if (outlier.consecutive_5xx) json["consecutive_5xx"] = *outlier.consecutive_5xx;
  if (outlier.consecutive_gateway) json["consecutive_gateway_failure"] = *outlier.consecutive_gateway;
  if (outlier.consecutive_local_origin)
    json["consecutive_local_origin_failure"] = *outlier.consecutive_local_origin;
  if (outlier.split_external_local_origin) json["split_external_local_origin_errors"] = true;
  return json;
}

Json envoy_cluster(const model::Cluster& cluster) {
  Json json = {{"@type", type_url("config.cluster.v3.Cluster")},
               {"name", cluster.name},
               {"type", std::string(model::to_string(cluster.type))}};
  if (cluster.type == model::ClusterType::kEds)
    json["eds_cluster_config"] = {{"service_name", cluster.name}};
  else if (!cluster.endpoints.empty())
    json["load_assignment"] = load_assignment(cluster);
  json["connect_timeout"] = duration_text(cluster.connect_timeout);
  json["lb_policy"] = std::string(model::to_string(cluster.lb));
  if (cluster.max_connections)
    json["circuit_breakers"] = {{"thresholds", {{{"max_connections", *cluster.max_connections}}}}};
  if (cluster.outlier) json["outlier_detection"] = outlier_of(*cluster.outlier);
  if (const auto& source = cluster.bind_source_v4 ? cluster.bind_source_v4 : cluster.bind_source_v6)
    json["upstream_bind_config"] = {
        {"source_address", {{"address", source->to_string()}, {"port_value", 0}}}};
  if (cluster.keepalive) {
    Json keepalive = Json::object();
    if (cluster.keepalive->probes) keepalive["keepalive_probes"] = *cluster.keepalive->probes;
    if (cluster.keepalive->time) keepalive["keepalive_time"] = cluster.keepalive->time->count();
    if (cluster.keepalive->interval) keepalive["keepalive_interval"] = cluster.keepalive->interval->count();
    json["upstream_connection_options"] = {{"tcp_keepalive", std::move(keepalive)}};
  }
  if (Json metadata = cluster_metadata(cluster); !metadata.is_null()) json["metadata"] = std::move(metadata);
  return json;
}

Json chain_match(const model::FilterChainMatch& match) {
  Json json = Json::object();
  if (match.destination_port) json["destination_port"] = *match.destination_port;
  for (const Prefix& prefix : match.prefix_ranges)
    json["prefix_ranges"].push_back(
        {{"address_prefix", prefix.address.to_string()}, {"prefix_len", prefix.length}});
  if (!match.server_names.empty()) json["server_names"] = match.server_names;
  if (match.transport == model::TransportProtocol::kTls) json["transport_protocol"] = "tls";
  if (match.transport == model::TransportProtocol::kRawBuffer) json["transport_protocol"] = "raw_buffer";
  if (!match.application_protocols.empty()) json["application_protocols"] = match.application_protocols;
  return json;
}

Json tcp_proxy(const model::Route& route) {
  Json config = {{"@type", type_url("extensions.filters.network.tcp_proxy.v3.TcpProxy")},
                 {"stat_prefix", route.stat_prefix}};
  if (route.clusters.size() == 1) {
    config["cluster"] = route.clusters.front().cluster;
  } else {
    Json parts = Json::array();
    for (const auto& part : route.clusters)
      parts.push_back({{"name", part.cluster}, {"weight", part.weight}});
    config["weighted_clusters"] = {{"clusters", std::move(parts)}};
  }
  if (route.idle_timeout) config["idle_timeout"] = duration_text(*route.idle_timeout);
  if (route.max_connection_duration)
    config["max_downstream_connection_duration"] = duration_text(*route.max_connection_duration);
  if (route.hash_source_ip) config["hash_policy"] = {{{"source_ip", Json::object()}}};
  return {{"name", "envoy.filters.network.tcp_proxy"}, {"typed_config", std::move(config)}};
}

Json envoy_chain(const model::FilterChain& chain) {
  Json json = Json::object();
  if (!chain.match.match_all()) json["filter_chain_match"] = chain_match(chain.match);
  json["filters"] = Json::array({tcp_proxy(chain.route)});
  json["name"] = chain.name;
  // Which VirtualService made the route: Istio says so for HTTP routes only, here it is said for TCP.
  if (chain.route.origin && chain.route.origin->kind == "VirtualService")
    json["metadata"] = {
        {"filter_metadata", {{"istio", {{"config", api_path(*chain.route.origin, "virtual-service")}}}}}};
  return json;
}

Json envoy_listener(const model::Listener& listener) {
  Json json = {{"@type", type_url("config.listener.v3.Listener")}, {"name", listener.name}};
  if (!listener.addresses.empty()) json["address"] = socket_address(listener.addresses.front());
  for (size_t i = 1; i < listener.addresses.size(); ++i)
    json["additional_addresses"].push_back({{"address", socket_address(listener.addresses[i])}});
  json["filter_chains"] = Json::array();
  for (const model::FilterChain& chain : listener.chains) json["filter_chains"].push_back(envoy_chain(chain));
  if (listener.default_chain) json["default_filter_chain"] = envoy_chain(*listener.default_chain);
  Json filters = Json::array();
  if (listener.name == model::kVirtualOutbound || listener.name == model::kVirtualInbound)
    filters.push_back({{"name", "envoy.filters.listener.original_dst"}});
  if (listener.accept_proxy_protocol) filters.push_back({{"name", "envoy.filters.listener.proxy_protocol"}});
  if (listener.inspect_tls) filters.push_back({{"name", "envoy.filters.listener.tls_inspector"}});
  if (!filters.empty()) json["listener_filters"] = std::move(filters);
  json["traffic_direction"] = listener.direction == model::Direction::kInbound ? "INBOUND" : "OUTBOUND";
  const bool captures = listener.name == model::kVirtualOutbound || listener.name == model::kVirtualInbound;
  if (listener.name == model::kVirtualOutbound) json["use_original_dst"] = true;
  if (!listener.bind_to_port && !captures) json["bind_to_port"] = false;
  return json;
}

template <typename Pointers>
auto by_name(const Pointers& pointers) {
  std::vector<typename Pointers::value_type> sorted(pointers.begin(), pointers.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a->name < b->name; });
  return sorted;
}

std::vector<const model::Cluster*> clusters_of(const model::Snapshot& snapshot) {
  std::vector<const model::Cluster*> all;
  for (const auto& [name, cluster] : snapshot.clusters) all.push_back(cluster.get());
  return by_name(all);
}

// Envoy's node id: "sidecar~10.1.2.3~pod.ns~ns.svc.cluster.local".
Json node_of(const AgentStatus& status, const model::Snapshot* snapshot) {
  const bool has_ip = snapshot && !snapshot->self_ips.empty();
  const std::string ip = has_ip ? snapshot->self_ips.front().to_string() : "";
  const std::string domain = snapshot ? snapshot->mesh.trust_domain : "cluster.local";
  const std::string type = status.role == "gateway" ? "router" : status.role;
  return {{"id", fmt::format("{}~{}~{}.{}~{}.svc.{}", type, ip, status.pod, status.ns, status.ns, domain)},
          {"user_agent_name", "sockmesh"}};
}

}  // namespace

Json config_dump(const model::Snapshot& snapshot, const AgentStatus& status, const DumpRequest& request) {
  const auto masks = split(request.mask, ',', /*skip_empty=*/true);
  const auto wanted = [&](std::string_view part) {
    return masks.empty() || std::find(masks.begin(), masks.end(), part) != masks.end();
  };
  const std::string updated = utc(status.config.loaded);
  Json configs = Json::array();
  if (wanted("bootstrap"))
    configs.push_back({{"@type", type_url("admin.v3.BootstrapConfigDump")},
                       {"bootstrap", {{"node", node_of(status, &snapshot)}}},
                       {"last_updated", utc(status.started)}});
  if (wanted("dynamic_active_clusters")) {
    Json active = Json::array();
    for (const model::Cluster* cluster : clusters_of(snapshot))
      active.push_back({{"version_info", snapshot.version},
                        {"cluster", envoy_cluster(*cluster)},
                        {"last_updated", updated}});
    configs.push_back({{"@type", type_url("admin.v3.ClustersConfigDump")},
                       {"version_info", snapshot.version},
                       {"dynamic_active_clusters", std::move(active)}});
  }
  if (request.include_eds) {
    Json endpoints = Json::array();
    for (const model::Cluster* cluster : clusters_of(snapshot)) {
      if (cluster->type != model::ClusterType::kEds) continue;
      Json assignment = load_assignment(*cluster);
      assignment["@type"] = type_url("config.endpoint.v3.ClusterLoadAssignment");
      endpoints.push_back({{"endpoint_config", std::move(assignment)}});
    }
    configs.push_back({{"@type", type_url("admin.v3.EndpointsConfigDump")},
                       {"dynamic_endpoint_configs", std::move(endpoints)}});
  }
  if (wanted("dynamic_listeners")) {
    Json listeners = Json::array();
    for (const model::ListenerPtr& listener : by_name(snapshot.listeners))
      listeners.push_back({{"name", listener->name},
                           {"active_state",
                            {{"version_info", snapshot.version},
                             {"listener", envoy_listener(*listener)},
                             {"last_updated", updated}}}});
    configs.push_back({{"@type", type_url("admin.v3.ListenersConfigDump")},
                       {"version_info", snapshot.version},
                       {"dynamic_listeners", std::move(listeners)}});
  }
  if (wanted("dynamic_route_configs")) configs.push_back({{"@type", type_url("admin.v3.RoutesConfigDump")}});
  return {{"configs", std::move(configs)}};
}

Json cluster_statuses(const model::Snapshot& snapshot, const std::vector<EndpointState>& states) {
  const StateIndex index(states);
  const auto stat = [](const char* name, const char* type, uint64_t value) {
    return Json{{"name", name}, {"type", type}, {"value", std::to_string(value)}};
  };
  Json statuses = Json::array();
  for (const model::Cluster* cluster : clusters_of(snapshot)) {
    Json hosts = Json::array();
    for (const model::Endpoint& endpoint : cluster->endpoints) {
      const EndpointState* state = index.find(cluster->name, model::to_string(endpoint.address));
      Json health = {{"eds_health_status", health_name(endpoint.health)}};
      if (state && state->ejected) health["failed_outlier_check"] = true;
      Json host = {{"address", address_of(endpoint.address)}};
      if (state)
        host["stats"] = {stat("cx_active", "GAUGE", state->connections_active),
                         stat("cx_total", "COUNTER", state->connections_total),
                         stat("cx_connect_fail", "COUNTER", state->connect_failures)};
      host["health_status"] = std::move(health);
      host["weight"] = endpoint.weight;
      if (endpoint.priority > 0) host["priority"] = endpoint.priority;
      host["locality"] = locality_of(endpoint);
      hosts.push_back(std::move(host));
    }
    statuses.push_back(
        {{"name", cluster->name}, {"added_via_api", true}, {"host_statuses", std::move(hosts)}});
  }
  return {{"cluster_statuses", std::move(statuses)}};
}

std::string cluster_statuses_text(const model::Snapshot& snapshot, const std::vector<EndpointState>& states) {
  const StateIndex index(states);
  std::string text;
  for (const model::Cluster* cluster : clusters_of(snapshot)) {
    text += fmt::format("{}::added_via_api::true\n", cluster->name);
    for (const model::Endpoint& endpoint : cluster->endpoints) {
      const std::string address = model::to_string(endpoint.address);
      const auto line = [&](const char* what, const auto& value) {
        text += fmt::format("{}::{}::{}::{}\n", cluster->name, address, what, value);
      };
      const EndpointState* state = index.find(cluster->name, address);
      if (state) {
        line("cx_active", state->connections_active);
        line("cx_connect_fail", state->connect_failures);
        line("cx_total", state->connections_total);
      }
      const bool ejected = state && state->ejected;
      const bool healthy = endpoint.health == model::Health::kHealthy;
      line("health_flags", ejected ? "/failed_outlier_check" : healthy ? "healthy" : "/failed_eds_health");
      line("weight", endpoint.weight);
      line("priority", endpoint.priority);
    }
  }
  return text;
}

Json server_info(const AgentStatus& status, const Readiness& readiness, const model::Snapshot* snapshot,
                 WallTime now) {
  const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(now - status.started).count();
  const char* state = status.draining ? "DRAINING" : readiness.ready ? "LIVE" : "PRE_INITIALIZING";
  return {{"version", fmt::format("sockmesh/{}", status.version)},
          {"state", state},
          {"uptime_current_epoch", fmt::format("{}s", uptime)},
          {"uptime_all_epochs", fmt::format("{}s", uptime)},
          {"command_line_options", {{"concurrency", status.workers.size()}}},
          {"node", node_of(status, snapshot)}};
}

}  // namespace sockmesh::admin
