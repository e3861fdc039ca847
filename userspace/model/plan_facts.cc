#include "model/plan_facts.h"

#include <fmt/format.h>

#include "model/names.h"

namespace sockmesh::model {

namespace {

std::string seconds(Duration duration) {
  return fmt::format("{:.10g}s", std::chrono::duration<double>(duration).count());
}

template <typename T>
std::string number(const std::optional<T>& value) {
  return value ? fmt::format("{}", *value) : "";
}

std::string keepalive(const std::optional<Keepalive>& value) {
  if (!value) return "";
  return fmt::format("probes {} time {} interval {}", value->probes.value_or(0),
                     value->time.value_or(std::chrono::seconds(0)).count(),
                     value->interval.value_or(std::chrono::seconds(0)).count());
}

std::string outlier(const std::optional<OutlierDetection>& value) {
  if (!value) return "";
  return fmt::format("5xx {} gateway {} local {} split {} every {} ejects {} to {} at most {} %",
                     value->consecutive_5xx.value_or(0), value->consecutive_gateway.value_or(0),
                     value->consecutive_local_origin.value_or(0), value->split_external_local_origin,
                     seconds(value->interval), seconds(value->base_ejection_time),
                     seconds(value->max_ejection_time), value->max_ejection_percent);
}

std::string slow_start(const std::optional<SlowStart>& value) {
  if (!value) return "";
  return fmt::format("{} from {} % aggression {}", seconds(value->duration), value->minimum_percent,
                     value->aggression);
}

std::string locality(const Locality& at) { return fmt::format("{}/{}/{}", at.region, at.zone, at.subzone); }

std::string locality_weights(const std::vector<LocalityWeight>& weights) {
  std::string out;
  for (const LocalityWeight& part : weights) {
    out += fmt::format("{}{} % {}", out.empty() ? "" : ", ", part.weight, locality(part.to));
  }
  return out;
}

template <typename T>
std::string list(const std::vector<T>& values) {
  std::string out;
  for (const T& value : values) out += fmt::format("{}{}", out.empty() ? "" : ", ", value.to_string());
  return out;
}

std::string yes(bool value) { return value ? "yes" : ""; }

}  // namespace

Facts facts_of(const Listener& listener) {
  return {{"addresses", list(listener.addresses)},
          {"protocol", listener.protocol},
          {"really bound", yes(listener.bind_to_port)},
          {"looks at the first bytes", yes(listener.inspect_tls)},
          {"takes PROXY protocol", yes(listener.accept_proxy_protocol)}};
}

Facts facts_of(const Cluster& cluster) {
  const auto source = [](const std::optional<IpAddress>& ip) { return ip ? ip->to_string() : ""; };
  return {{"type", std::string(to_string(cluster.type))},
          {"load balancer", std::string(to_string(cluster.lb))},
          {"hash table", cluster.hash_table_size ? fmt::format("{}", cluster.hash_table_size) : ""},
          {"slow start", slow_start(cluster.slow_start)},
          {"outlier detection", outlier(cluster.outlier)},
          {"panic threshold", fmt::format("{} %", cluster.panic_threshold_percent)},
          {"locality shares", locality_weights(cluster.locality_weights)},
          {"DNS refresh", seconds(cluster.dns_refresh)},
          {"connect timeout", seconds(cluster.connect_timeout)},
          {"max connections", number(cluster.max_connections)},
          {"keepalive", keepalive(cluster.keepalive)},
          {"source address v4", source(cluster.bind_source_v4)},
          {"source address v6", source(cluster.bind_source_v6)},
          {"destination port", number(cluster.original_dst_port)},
          {"sends PROXY protocol", std::string(to_string(cluster.proxy_protocol))}};
}

Facts facts_of(const Endpoint& endpoint) {
  return {{"weight", fmt::format("{}", endpoint.weight)},
          {"priority", fmt::format("{}", endpoint.priority)},
          {"health", std::string(to_string(endpoint.health))},
          {"locality", endpoint.locality ? locality(*endpoint.locality) : ""}};
}

std::string describe_match(const FilterChainMatch& match) {
  std::vector<std::string> parts;
  if (match.destination_port) parts.push_back(fmt::format("port {}", *match.destination_port));
  if (!match.prefix_ranges.empty()) parts.push_back("destination in " + list(match.prefix_ranges));
  if (!match.server_names.empty())
    parts.push_back(fmt::format("SNI {}", fmt::join(match.server_names, ", ")));
  if (match.transport == TransportProtocol::kTls) parts.push_back("TLS");
  if (match.transport == TransportProtocol::kRawBuffer) parts.push_back("not TLS");
  if (!match.application_protocols.empty()) {
    parts.push_back(fmt::format("ALPN {}", fmt::join(match.application_protocols, ", ")));
  }
  return parts.empty() ? "everything" : fmt::format("{}", fmt::join(parts, " and "));
}

std::string describe_route(const Route& route) {
  std::string out;
  if (route.clusters.size() == 1) {
    out = route.clusters.front().cluster;
  } else {
    uint64_t sum = 0;
    for (const WeightedCluster& part : route.clusters) sum += part.weight;
    for (const WeightedCluster& part : route.clusters) {
      const double share = sum ? 100.0 * part.weight / static_cast<double>(sum) : 0;
      out += fmt::format("{}{:.4g} % {}", out.empty() ? "" : ", ", share, part.cluster);
    }
  }
  if (route.idle_timeout) out += fmt::format(", idle timeout {}", seconds(*route.idle_timeout));
  if (route.max_connection_duration)
    out += fmt::format(", at most {}", seconds(*route.max_connection_duration));
  if (route.hash_source_ip) out += ", by source address";
  return out;
}

std::vector<std::string> differences(const Facts& before, const Facts& after) {
  const auto shown = [](const std::string& text) { return text.empty() ? std::string("-") : text; };
  std::vector<std::string> out;
  for (size_t i = 0; i < before.size() && i < after.size(); ++i) {
    if (before[i].second == after[i].second) continue;
    out.push_back(
        fmt::format("{}: {} -> {}", before[i].first, shown(before[i].second), shown(after[i].second)));
  }
  return out;
}

}  // namespace sockmesh::model
