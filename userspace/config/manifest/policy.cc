#include "config/manifest/formats.h"
#include "config/manifest/kinds.h"

// A policy that cannot be read in part is used in part: none of these fields decides where a connection goes,
// and each has a default that istiod would use as well.
namespace sockmesh::config {

namespace {

using std::string_view_literals::operator""sv;

constexpr Words kSimpleBalancers{"UNSPECIFIED", "LEAST_CONN", "LEAST_REQUEST",
                                 "ROUND_ROBIN", "RANDOM",     "PASSTHROUGH"};
constexpr Words kClientTlsModes{"DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"};
constexpr Choice kProxyProtocols{std::pair{"V1"sv, model::ProxyProtocol::kV1},
                                 std::pair{"V2"sv, model::ProxyProtocol::kV2}};

// An optional value from a field.
template <typename T, typename Format>
bool read_optional(const Fields& in, std::string_view key, std::optional<T>& out, const Format& format) {
  T value{};
  if (!in.has(key)) return true;
  if (!in.read(key, value, format)) return false;
  out = value;
  return true;
}

void read_consistent_hash(const Fields& in, TrafficPolicy::LoadBalancer& out) {
  out.consistent_hash = true;
  in.read("useSourceIp", out.use_source_ip, kBool);
  in.read("minimumRingSize", out.table_size, kPositive);  // its place before ringHash existed
  in.child("ringHash").read("minimumRingSize", out.table_size, kPositive);
  if (const Fields maglev = in.child("maglev"); maglev.present()) {
    out.maglev = true;
    maglev.read("tableSize", out.table_size, kPositive);
  }
}

void read_warmup(const Fields& in, TrafficPolicy::LoadBalancer& out) {
  Duration old{};
  in.read("warmupDurationSecs", old, kPositiveDuration);
  if (old > Duration::zero()) out.warmup.emplace().duration = old;
  const Fields warmup = in.child("warmup");
  if (!warmup.present()) return;
  model::SlowStart slow_start;
  if (!warmup.read("duration", slow_start.duration, kPositiveDuration, kRequired)) return;
  warmup.read("minimumPercent", slow_start.minimum_percent, kPercent);
  warmup.read("aggression", slow_start.aggression, kDecimal);
  out.warmup = slow_start;
}

void read_load_balancer(const Fields& in, TrafficPolicy::LoadBalancer& out) {
  in.read("simple", out.simple, kSimpleBalancers);
  if (const Fields hash = in.child("consistentHash"); hash.present()) read_consistent_hash(hash, out);
  read_warmup(in, out);
  read_locality(in.child("localityLbSetting"), out);
}

// `top` says that this is no port's policy: only there portLevelSettings and proxyProtocol exist.
void read_traffic_policy(const Fields& in, bool top, TrafficPolicy& out) {
  out.line = in.line();
  read_part(in, "loadBalancer", out.load_balancer, read_load_balancer);
  read_part(in, "connectionPool", out.connection_pool, read_connection_pool);
  read_part(in, "outlierDetection", out.outlier, read_outlier);
  if (const Fields tls = in.child("tls"); tls.present()) {
    out.tls_mode = "DISABLE";  // the mode of a block that names none
    tls.read("mode", out.tls_mode, kClientTlsModes);
    out.has_ca_certificates = tls.has("caCertificates");
    out.has_credential_name = tls.has("credentialName");
  }
  if (!top) return;
  if (const Fields proxy = in.child("proxyProtocol"); proxy.present()) {
    model::ProxyProtocol version = model::ProxyProtocol::kV1;
    if (proxy.read("version", version, kProxyProtocols)) out.proxy_protocol = version;
  }
  in.each("portLevelSettings", [&](const Fields& entry) {
    TrafficPolicy::PortLevel level;
    const bool good = entry.child("port").read("number", level.port, kPort, kRequired);
    read_traffic_policy(entry, false, level.policy);
    if (good) out.port_level.push_back(std::move(level));
    return good;
  });
}

}  // namespace

void read_keepalive(const Fields& in, model::Keepalive& out) {
  read_optional(in, "probes", out.probes, kPositive);
  read_optional(in, "time", out.time, kWholeSeconds);
  read_optional(in, "interval", out.interval, kWholeSeconds);
}

void read_connection_pool(const Fields& in, TrafficPolicy::ConnectionPool& out) {
  const Fields tcp = in.child("tcp");
  read_optional(tcp, "maxConnections", out.max_connections, kCount);
  read_optional(tcp, "connectTimeout", out.connect_timeout, kPositiveDuration);
  read_optional(tcp, "idleTimeout", out.idle_timeout, kDuration);
  read_optional(tcp, "maxConnectionDuration", out.max_connection_duration, kPositiveDuration);
  read_part(tcp, "tcpKeepalive", out.keepalive, read_keepalive);
}

void read_outlier(const Fields& in, TrafficPolicy::Outlier& out) {
  read_optional(in, "consecutive5xxErrors", out.consecutive_5xx, kCount);
  read_optional(in, "consecutiveGatewayErrors", out.consecutive_gateway, kCount);
  read_optional(in, "consecutiveLocalOriginFailures", out.consecutive_local_origin, kCount);
  in.read("splitExternalLocalOriginErrors", out.split_external_local_origin, kBool);
  out.has_consecutive_errors = in.has("consecutiveErrors");
  read_optional(in, "interval", out.interval, kPositiveDuration);
  read_optional(in, "baseEjectionTime", out.base_ejection_time, kPositiveDuration);
  read_optional(in, "maxEjectionPercent", out.max_ejection_percent, kPercent);
  read_optional(in, "minHealthPercent", out.min_health_percent, kPercent);
}

void read_locality(const Fields& in, TrafficPolicy::LoadBalancer& out) {
  read_optional(in, "enabled", out.locality_enabled, kBool);
  in.each("distribute", [&](const Fields& entry) {
    TrafficPolicy::LoadBalancer::Distribute distribute;
    const bool good = all_good(
        {entry.read("from", distribute.from, kText, kRequired), entry.map("to", distribute.to, kPercent)});
    uint32_t sum = 0;
    for (const auto& [to, weight] : distribute.to) sum += weight;
    if (good && sum != 100) {
      entry.report("to", fmt::format("'{}': expected weights that sum to 100", sum));
      return false;
    }
    if (good) out.distribute.push_back(std::move(distribute));
    return good;
  });
  in.each("failover", [&](const Fields& entry) {
    TrafficPolicy::LoadBalancer::Failover failover;
    const bool good = all_good({entry.read("from", failover.from, kText, kRequired),
                                entry.read("to", failover.to, kText, kRequired)});
    if (good) out.failover.push_back(std::move(failover));
    return good;
  });
  in.list("failoverPriority", out.failover_priority, kText);
}

void read_destination_rule(const Fields& object, Meta&& meta, Resources& out) {
  DestinationRule rule{std::move(meta)};
  const Fields spec = object.child("spec");
  spec.read("host", rule.host, kWildcardHost, kRequiredVital);
  const auto read_policy = [](const Fields& in, TrafficPolicy& policy) {
    read_traffic_policy(in, true, policy);
  };
  read_part(spec, "trafficPolicy", rule.policy, read_policy);
  spec.each("subsets", [&](const Fields& in) {
    Subset subset;
    subset.line = in.line();
    // Left out rather than widened: a route to it then finds no cluster.
    const bool good =
        all_good({in.read("name", subset.name, kText, kRequired), in.map("labels", subset.labels, kText)});
    read_part(in, "trafficPolicy", subset.policy, read_policy);
    if (good) rule.subsets.push_back(std::move(subset));
    return good;
  });
  read_export_to(spec, rule.export_to);
  if (const Fields selector = spec.child("workloadSelector"); selector.present()) {
    read_selector(selector, "matchLabels", rule.workload_selector.emplace());
  }
  keep(out.destination_rules, std::move(rule), object);
}

void read_policy(const Fields& object, Meta&& meta, Resources& out) {
  Policy policy{std::move(meta)};
  const Fields spec = object.child("spec");
  if (const Fields selector = spec.child("selector"); selector.present()) {
    read_selector(selector, "matchLabels", policy.selector.emplace());
  }
  policy.has_target = spec.has("targetRef") || spec.has("targetRefs");
  keep(out.policies, std::move(policy), object);
}

}  // namespace sockmesh::config
