// Listeners, clusters and endpoints: what a Snapshot says.
#include <algorithm>

#include "admin/view_parts.h"
#include "model/names.h"

namespace sockmesh::admin {

namespace {

Json texts(const auto& values, const auto& to_text) {
  Json list = Json::array();
  for (const auto& value : values) list.push_back(to_text(value));
  return list;
}
Json texts(const auto& values) {
  return texts(values, [](const auto& value) { return value.to_string(); });
}

const char* transport_text(model::TransportProtocol transport) {
  switch (transport) {
    case model::TransportProtocol::kTls:
      return "tls";
    case model::TransportProtocol::kRawBuffer:
      return "raw_buffer";
    case model::TransportProtocol::kAny:
      break;
  }
  return nullptr;
}

Json match_view(const model::FilterChainMatch& match) {
  const char* transport = transport_text(match.transport);
  return {{"destinationPort", number_or_null(match.destination_port)},
          {"prefixRanges", texts(match.prefix_ranges)},
          {"serverNames", Json(match.server_names)},
          {"transport", transport ? Json(transport) : Json(nullptr)},
          {"applicationProtocols", Json(match.application_protocols)}};
}

Json route_view(const model::Route& route) {
  return {{"clusters", weights_view(route.clusters)},
          {"statPrefix", route.stat_prefix},
          {"idleTimeoutSeconds", seconds_or_null(route.idle_timeout)},
          {"maxConnectionDurationSeconds", seconds_or_null(route.max_connection_duration)},
          {"hashSourceIp", route.hash_source_ip},
          {"object", object_view(route.origin)}};
}

Json chain_view(const model::FilterChain& chain, bool is_default) {
  return {{"name", chain.name},
          {"default", is_default},
          {"match", match_view(chain.match)},
          {"route", route_view(chain.route)},
          {"log", chain.log},
          {"object", object_view(chain.origin)}};
}

Json bind_error(const model::Listener& listener, const std::vector<UnboundPort>& unbound) {
  for (const UnboundPort& port : unbound)
    if (port.listener == listener.name) return port.error;
  return nullptr;
}

Json listener_view(const model::Listener& listener, const std::vector<UnboundPort>& unbound) {
  Json chains = Json::array();
  for (const model::FilterChain& chain : listener.chains) chains.push_back(chain_view(chain, false));
  if (listener.default_chain) chains.push_back(chain_view(*listener.default_chain, true));
  Json losers = Json::array();
  for (const model::Loser& loser : listener.losers)
    losers.push_back({{"what", loser.what}, {"reason", loser.reason}, {"object", object_view(loser.object)}});
  return {{"name", listener.name},
          {"direction", direction_text(listener.direction)},
          {"addresses", texts(listener.addresses)},
          {"bound", listener.bind_to_port},
          {"bindError", bind_error(listener, unbound)},
          {"protocol", text_or_null(listener.protocol)},
          {"inspectTls", listener.inspect_tls},
          {"acceptProxyProtocol", listener.accept_proxy_protocol},
          {"object", object_view(listener.origin)},
          {"chains", std::move(chains)},
          {"losers", std::move(losers)}};
}

const char* lb_text(model::LbPolicy policy) { return model::to_string(policy).data(); }

Json cluster_view(const model::Cluster& cluster) {
  const auto healthy = std::count_if(
      cluster.endpoints.begin(), cluster.endpoints.end(),
      [](const model::Endpoint& endpoint) { return endpoint.health == model::Health::kHealthy; });
  return {{"name", cluster.name},
          {"direction", direction_text(cluster.direction)},
          {"type", std::string(model::to_string(cluster.type))},
          {"loadBalancer", lb_text(cluster.lb)},
          {"service", text_or_null(cluster.service_host)},
          {"port", cluster.service_port ? Json(cluster.service_port) : Json(nullptr)},
          {"subset", text_or_null(cluster.subset)},
          {"endpoints", cluster.endpoints.size()},
          {"healthyEndpoints", healthy},
          {"connectTimeoutSeconds", seconds(cluster.connect_timeout)},
          {"maxConnections", number_or_null(cluster.max_connections)},
          {"outlierDetection", cluster.outlier.has_value()},
          {"object", object_view(cluster.origin)},
          {"destinationRule", object_view(cluster.destination_rule)}};
}

std::vector<const model::Cluster*> sorted_clusters(const model::Snapshot& snapshot) {
  std::vector<const model::Cluster*> clusters;
  clusters.reserve(snapshot.clusters.size());
  for (const auto& [name, cluster] : snapshot.clusters) clusters.push_back(cluster.get());
  std::sort(clusters.begin(), clusters.end(), [](const auto* a, const auto* b) {
    return std::tie(a->direction, a->name) < std::tie(b->direction, b->name);
  });
  return clusters;
}

std::string locality_text(const model::Locality& locality) {
  std::string text = locality.region;
  if (!locality.zone.empty()) text += "/" + locality.zone;
  if (!locality.subzone.empty()) text += "/" + locality.subzone;
  return text;
}

}  // namespace

Json listeners_view(const model::Snapshot& snapshot, const std::vector<UnboundPort>& unbound) {
  std::vector<model::ListenerPtr> sorted = snapshot.listeners;
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return std::tie(a->direction, a->name) < std::tie(b->direction, b->name);
  });
  Json list = Json::array();
  for (const model::ListenerPtr& listener : sorted) list.push_back(listener_view(*listener, unbound));
  return {{"version", snapshot.version}, {"listeners", std::move(list)}};
}

Json clusters_view(const model::Snapshot& snapshot) {
  Json list = Json::array();
  for (const model::Cluster* cluster : sorted_clusters(snapshot)) list.push_back(cluster_view(*cluster));
  return {{"version", snapshot.version}, {"clusters", std::move(list)}};
}

Json name_view(const NameStatus& name) {
  return {{"name", name.name},
          {"state", name.state},
          {"addresses", Json(name.addresses)},
          {"error", text_or_null(name.error)},
          {"answerAgeSeconds", seconds_or_null(name.answer_age)}};
}

namespace {

// A name is as healthy as its configuration says only while there is an answer.
std::string health_text(const model::Endpoint& endpoint, const EndpointState* state) {
  if (state && state->name && state->name->state != "answered")
    return state->name->addresses.empty() ? "unresolved" : "stale";
  return std::string(model::to_string(endpoint.health));
}

}  // namespace

Json endpoint_view(const std::string& cluster, const model::Endpoint& endpoint, const EndpointState* state) {
  const model::Workload* workload = endpoint.workload.get();
  const bool named = workload && !workload->name.empty();
  return {{"address", model::to_string(endpoint.address)},
          {"cluster", cluster},
          {"health", health_text(endpoint, state)},
          {"ejected", state ? Json(state->ejected) : Json(nullptr)},
          {"weight", endpoint.weight},
          {"priority", endpoint.priority},
          {"locality", endpoint.locality ? text_or_null(locality_text(*endpoint.locality)) : Json(nullptr)},
          {"workload", named ? Json(workload->name + "." + workload->ns) : Json(nullptr)},
          {"connectionsActive", state ? Json(state->connections_active) : Json(nullptr)},
          {"connectionsTotal", state ? Json(state->connections_total) : Json(nullptr)},
          {"connectFailures", state ? Json(state->connect_failures) : Json(nullptr)},
          {"dns", state && state->name ? name_view(*state->name) : Json(nullptr)}};
}

Json endpoints_view(const model::Snapshot& snapshot, const std::vector<EndpointState>& states) {
  const StateIndex index(states);
  Json list = Json::array();
  for (const model::Cluster* cluster : sorted_clusters(snapshot)) {
    std::vector<std::pair<std::string, const model::Endpoint*>> sorted;
    for (const model::Endpoint& endpoint : cluster->endpoints)
      sorted.emplace_back(model::to_string(endpoint.address), &endpoint);
    std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
      return std::tie(a.second->priority, a.first) < std::tie(b.second->priority, b.first);
    });
    for (const auto& [address, endpoint] : sorted)
      list.push_back(endpoint_view(cluster->name, *endpoint, index.find(cluster->name, address)));
  }
  return {{"version", snapshot.version}, {"endpoints", std::move(list)}};
}

Json object_view(const model::OriginPtr& origin) {
  if (!origin) return nullptr;
  return {{"kind", origin->kind},
          {"name", text_or_null(origin->name)},
          {"namespace", text_or_null(origin->ns)},
          {"file", text_or_null(origin->file)},
          {"line", origin->line > 0 ? Json(origin->line) : Json(nullptr)}};
}

Json weights_view(const std::vector<model::WeightedCluster>& clusters) {
  uint64_t sum = 0;
  for (const model::WeightedCluster& part : clusters) sum += part.weight;
  Json list = Json::array();
  for (const model::WeightedCluster& part : clusters) {
    // A single destination takes everything, whatever its weight says.
    const double share = clusters.size() == 1 ? 1.0
                         : sum == 0           ? 0.0
                                              : static_cast<double>(part.weight) / static_cast<double>(sum);
    list.push_back({{"cluster", part.cluster}, {"weight", part.weight}, {"share", share}});
  }
  return list;
}

StateIndex::StateIndex(const std::vector<EndpointState>& states) {
  for (const EndpointState& state : states) by_name_[state.cluster + '\n' + state.address] = &state;
}

const EndpointState* StateIndex::find(const std::string& cluster, const std::string& address) const {
  const auto found = by_name_.find(cluster + '\n' + address);
  return found == by_name_.end() ? nullptr : found->second;
}

}  // namespace sockmesh::admin
