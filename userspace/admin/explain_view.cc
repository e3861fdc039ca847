// An explanation: the decision, the endpoints behind it, each step with its object, the losers and the cures.
#include "admin/view_parts.h"

namespace sockmesh::admin {

namespace {

// The client as far as the question told: often only its address.
Json source_text(const SocketAddress& source) {
  if (source == SocketAddress{}) return nullptr;
  return source.port == 0 ? source.ip.to_string() : source.to_string();
}

Json connection_view(const model::ConnectionInfo& connection) {
  const auto& hello = connection.hello;
  return {{"direction", direction_text(connection.direction)},
          {"destination", connection.destination.to_string()},
          {"source", source_text(connection.source)},
          {"tls", hello ? Json(hello->is_tls) : Json(nullptr)},
          {"serverName", hello ? text_or_null(hello->server_name) : Json(nullptr)}};
}

Json cluster_part(const model::Explanation::ClusterPart& part) {
  const model::Cluster* cluster = part.cluster.get();
  return {{"name", part.name},
          {"share", part.share},
          {"exists", cluster != nullptr},
          {"type", cluster ? Json(std::string(model::to_string(cluster->type))) : Json(nullptr)},
          {"loadBalancer", cluster ? Json(std::string(model::to_string(cluster->lb))) : Json(nullptr)},
          {"object", cluster ? object_view(cluster->origin) : Json(nullptr)},
          {"destinationRule", cluster ? object_view(cluster->destination_rule) : Json(nullptr)}};
}

}  // namespace

Json explanation_view(const model::Explanation& explanation, const std::vector<EndpointState>& states,
                      const telemetry::ConnectionRecord* flow, MonotonicTime now) {
  const StateIndex index(states);
  Json clusters = Json::array(), endpoints = Json::array(), steps = Json::array(), losers = Json::array();
  for (const auto& part : explanation.clusters) {
    clusters.push_back(cluster_part(part));
    if (!part.cluster) continue;
    for (const model::Endpoint& endpoint : part.cluster->endpoints)
      endpoints.push_back(
          endpoint_view(part.name, endpoint, index.find(part.name, model::to_string(endpoint.address))));
  }
  for (const model::ExplainStep& step : explanation.steps)
    steps.push_back({{"stage", step.stage}, {"text", step.text}, {"object", object_view(step.object)}});
  for (const model::Loser& loser : explanation.losers)
    losers.push_back({{"what", loser.what}, {"reason", loser.reason}, {"object", object_view(loser.object)}});
  const bool one = explanation.clusters.size() == 1;
  return {{"connection", connection_view(explanation.connection)},
          {"listener", text_or_null(explanation.listener)},
          {"filterChain", text_or_null(explanation.filter_chain)},
          {"route", weights_view(explanation.route)},
          {"cluster", one ? Json(explanation.clusters.front().name) : Json(nullptr)},
          {"clusters", std::move(clusters)},
          {"endpoints", std::move(endpoints)},
          {"responseFlags", explanation.expected.to_string()},
          {"steps", std::move(steps)},
          {"losers", std::move(losers)},
          {"cures", Json(explanation.cures)},
          {"flow", flow ? flow_view(*flow, now) : Json(nullptr)}};
}

}  // namespace sockmesh::admin
