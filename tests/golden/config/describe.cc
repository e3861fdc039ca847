#include "describe.h"

#include <fmt/format.h>

#include <algorithm>

namespace sockmesh::config {

namespace {

std::string duration(Duration time) {
  return fmt::format("{}ms", std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
}

std::string match_text(const model::FilterChainMatch& match) {
  std::string text;
  if (match.destination_port) text += fmt::format(" port {}", *match.destination_port);
  for (const Prefix& prefix : match.prefix_ranges) text += " " + prefix.to_string();
  for (const std::string& name : match.server_names) text += " sni:" + name;
  if (!match.application_protocols.empty())
    text += fmt::format(" alpn:{}", fmt::join(match.application_protocols, ","));
  return text.empty() ? " everything" : text;
}

std::string chain_text(const model::FilterChain& chain) {
  std::string text = match_text(chain.match) + " ->";
  for (const auto& part : chain.route.clusters) {
    text += " " + part.cluster;
    if (chain.route.clusters.size() > 1) text += fmt::format(" ({})", part.weight);
  }
  if (chain.route.idle_timeout) text += " idle " + duration(*chain.route.idle_timeout);
  if (chain.route.max_connection_duration)
    text += " at most " + duration(*chain.route.max_connection_duration);
  if (chain.route.hash_source_ip) text += " by source address";
  if (!chain.log) text += " unlogged";
  if (chain.route.origin) text += "  [" + chain.route.origin->to_string() + "]";
  return text;
}

std::string loser_text(const model::Loser& loser) {
  return fmt::format("{}: {}: {}", loser.object ? loser.object->to_string() : "-", loser.what, loser.reason);
}

std::string listener_text(const model::Listener& listener) {
  std::string text = listener.name + " " + listener.protocol;
  for (const SocketAddress& address : listener.addresses) text += " " + address.to_string();
  if (listener.direction == model::Direction::kInbound) text += " inbound";
  if (listener.bind_to_port) text += " bound";
  if (listener.inspect_tls) text += " inspects";
  if (listener.accept_proxy_protocol) text += " proxy-protocol";
  text += "\n";
  for (const auto& chain : listener.chains) text += "   " + chain_text(chain) + "\n";
  if (listener.default_chain) text += "    default:" + chain_text(*listener.default_chain) + "\n";
  for (const auto& loser : listener.losers) text += "    lost: " + loser_text(loser) + "\n";
  return text;
}

std::string endpoint_text(const model::Endpoint& endpoint) {
  std::string text = to_string(endpoint.address);
  if (endpoint.health != model::Health::kHealthy) text += " unhealthy";
  if (endpoint.priority > 0) text += fmt::format(" priority {}", endpoint.priority);
  if (endpoint.weight != 1) text += fmt::format(" weight {}", endpoint.weight);
  if (endpoint.locality)
    text += fmt::format(" in {}/{}/{}", endpoint.locality->region, endpoint.locality->zone,
                        endpoint.locality->subzone);
  return text;
}

std::string cluster_text(const model::Cluster& cluster) {
  std::string text = fmt::format("{} {} {}", cluster.name, to_string(cluster.type), to_string(cluster.lb));
  if (cluster.hash_table_size) text += fmt::format(" table {}", cluster.hash_table_size);
  if (cluster.slow_start) text += " warmup " + duration(cluster.slow_start->duration);
  if (cluster.max_connections) text += fmt::format(" max {}", *cluster.max_connections);
  if (cluster.connect_timeout != std::chrono::seconds(10))
    text += " connect " + duration(cluster.connect_timeout);
  if (const auto& keepalive = cluster.keepalive) {
    text += " keepalive";
    if (keepalive->probes) text += fmt::format(" probes {}", *keepalive->probes);
    if (keepalive->time) text += fmt::format(" time {}s", keepalive->time->count());
    if (keepalive->interval) text += fmt::format(" interval {}s", keepalive->interval->count());
  }
  if (cluster.outlier) text += " outlier";
  if (cluster.panic_threshold_percent) text += fmt::format(" panic {}%", cluster.panic_threshold_percent);
  if (cluster.bind_source_v4) text += " from " + cluster.bind_source_v4->to_string();
  if (cluster.bind_source_v6) text += " from " + cluster.bind_source_v6->to_string();
  if (cluster.original_dst_port) text += fmt::format(" to port {}", *cluster.original_dst_port);
  if (cluster.proxy_protocol != model::ProxyProtocol::kNone)
    text += cluster.proxy_protocol == model::ProxyProtocol::kV1 ? " proxy-protocol v1" : " proxy-protocol v2";
  if (cluster.destination_rule) text += "  [" + cluster.destination_rule->to_string() + "]";
  text += "\n";
  for (const auto& share : cluster.locality_weights)
    text += fmt::format("    share {}/{}/{}: {}\n", share.to.region, share.to.zone, share.to.subzone,
                        share.weight);
  for (const auto& endpoint : cluster.endpoints) text += "    " + endpoint_text(endpoint) + "\n";
  return text;
}

}  // namespace

std::string describe(const model::Snapshot& snapshot) {
  std::string text = "LISTENERS\n";
  for (const auto& listener : snapshot.listeners) text += listener_text(*listener);
  text += "\nCLUSTERS\n";
  std::map<std::string, model::ClusterPtr> clusters(snapshot.clusters.begin(), snapshot.clusters.end());
  for (const auto& [name, cluster] : clusters) text += cluster_text(*cluster);
  if (!snapshot.findings.empty()) text += "\nFINDINGS\n";
  for (const auto& finding : snapshot.findings)
    text += fmt::format("{} {}: {}\n", finding.code, finding.object ? finding.object->to_string() : "-",
                        finding.text);
  return text;
}

std::string describe(const model::Explanation& explanation) {
  std::string text;
  for (const auto& step : explanation.steps) {
    text += fmt::format("  {:<12} {}", step.stage, step.text);
    if (step.object && step.object->kind != "builtin") text += "  [" + step.object->to_string() + "]";
    text += "\n";
  }
  for (const auto& loser : explanation.losers) text += "  lost         " + loser_text(loser) + "\n";
  for (const auto& cure : explanation.cures) text += "  cure         " + cure + "\n";
  return text;
}

model::Explanation explain_probe(const MeshCase& mesh, const model::Snapshot& snapshot, const Probe& probe) {
  model::ConnectionInfo connection;
  connection.destination = probe.address;
  connection.hello = probe.hello;
  if (mesh.proxy.role == Role::kGateway) {
    for (const auto& listener : snapshot.listeners)
      for (const SocketAddress& at : listener->addresses)
        if (listener->bind_to_port && at.port == probe.address.port &&
            (at.ip.is_any() || at.ip == probe.address.ip))
          connection.bound = listener.get();
  } else if (probe.inbound) {
    connection.direction = model::Direction::kInbound;
  }
  return explain(snapshot, connection);
}

}  // namespace sockmesh::config
