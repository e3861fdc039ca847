#include "telemetry/metrics.h"

#include <prometheus/text_serializer.h>

#include <sstream>

#include "telemetry/istio_labels.h"

namespace sockmesh::telemetry {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

struct Column {  // one metric of a counter set
  const char* name;
  const char* help;
  MetricType type = MetricType::Counter;
};

constexpr std::array<Column, static_cast<size_t>(TcpMetric::kCount)> kTcpColumns = {{
    {"istio_tcp_connections_opened_total", "TCP connections opened"},
    {"istio_tcp_connections_closed_total", "TCP connections closed"},
    {"istio_tcp_sent_bytes_total", "Bytes sent to the downstream"},
    {"istio_tcp_received_bytes_total", "Bytes received from the downstream"},
}};

constexpr std::array<Column, static_cast<size_t>(ClusterMetric::kCount)> kClusterColumns = {{
    {"envoy_cluster_upstream_cx_total", "Connection attempts"},
    {"envoy_cluster_upstream_cx_active", "Established connections", MetricType::Gauge},
    {"envoy_cluster_upstream_cx_connect_fail", "Failed connection attempts, timeouts included"},
    {"envoy_cluster_upstream_cx_connect_attempts_exceeded", "Connections given up after the last attempt"},
    {"envoy_cluster_upstream_cx_overflow", "Connections refused by maxConnections"},
    {"envoy_cluster_upstream_cx_none_healthy", "Connections without a selectable host"},
    {"envoy_cluster_upstream_cx_rx_bytes_total", "Bytes read from the upstream"},
    {"envoy_cluster_upstream_cx_tx_bytes_total", "Bytes written to the upstream"},
    {"envoy_cluster_upstream_cx_destroy_remote", "Established connections reset by the upstream"},
    {"envoy_cluster_upstream_cx_max_duration_reached", "Connections ended by maxConnectionDuration"},
}};

constexpr std::array<Column, static_cast<size_t>(ListenerMetric::kCount)> kListenerColumns = {{
    {"envoy_listener_downstream_cx_total", "Connections that the listener took"},
    {"envoy_listener_downstream_cx_active", "Open connections", MetricType::Gauge},
    {"envoy_listener_no_filter_chain_match", "Connections that no filter chain matched"},
}};

ClientMetric sample(MetricType type, double value, Labels labels) {
  ClientMetric metric;
  metric.label = std::move(labels);
  (type == MetricType::Gauge ? metric.gauge.value : metric.counter.value) = value;
  return metric;
}

Labels istio_labels(const std::string& key) {
  const std::vector<std::string> values = istio_label_values(key);
  Labels labels;
  labels.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) labels.push_back({std::string(kIstioLabels[i]), values[i]});
  return labels;
}

// One family per column, one sample per key.
template <size_t N, typename LabelsOf>
void add_table(std::vector<MetricFamily>& families, const std::array<Column, N>& columns,
               const std::map<std::string, std::array<uint64_t, N>>& rows, const LabelsOf& labels_of) {
  if (rows.empty()) return;
  for (size_t i = 0; i < N; ++i) {
    MetricFamily family{columns[i].name, columns[i].help, columns[i].type, {}};
    family.metric.reserve(rows.size());
    for (const auto& [key, values] : rows)
      family.metric.push_back(sample(columns[i].type, static_cast<double>(values[i]), labels_of(key)));
    families.push_back(std::move(family));
  }
}

void add_one(std::vector<MetricFamily>& families, const Column& column, double value, Labels labels = {}) {
  families.push_back(
      {column.name, column.help, column.type, {sample(column.type, value, std::move(labels))}});
}

void add_agent(std::vector<MetricFamily>& families, const AgentTotals& agent) {
  constexpr auto kGauge = MetricType::Gauge;
  add_one(families, {"istio_build", "Istio component build info", kGauge}, 1,
          {{"component", "proxy"}, {"tag", agent.version}});
  add_one(families, {"envoy_server_live", "1 unless the server is draining", kGauge}, agent.draining ? 0 : 1);
  add_one(families, {"envoy_server_state", "0 live, 1 draining, 2 before the first configuration", kGauge},
          agent.draining                ? 1
          : agent.config_generation > 0 ? 0
                                        : 2);
  add_one(families, {"envoy_server_uptime", "Seconds since start", kGauge}, agent.uptime_seconds);
  add_one(families, {"envoy_server_concurrency", "Workers", kGauge}, static_cast<double>(agent.workers));
  add_one(families, {"sockmesh_config_info", "Configuration in force", kGauge}, 1,
          {{"version", agent.config_version}});
  add_one(families, {"sockmesh_config_generation", "Publications so far", kGauge},
          static_cast<double>(agent.config_generation));
  add_one(families,
          {"sockmesh_config_rejected_total", "Loads that left the last good configuration in force"},
          static_cast<double>(agent.config_rejected));
  add_one(families, {"sockmesh_config_findings", "Findings about the configuration in force", kGauge},
          static_cast<double>(agent.findings));
  add_one(families, {"sockmesh_connections_active", "Connections between accept and close", kGauge},
          static_cast<double>(agent.connections_active));
  add_one(families, {"sockmesh_access_log_lines_total", "Access log lines made"},
          static_cast<double>(agent.access_log_lines));
  add_one(families, {"sockmesh_access_log_dropped_total", "Access log lines lost: file slow or failing"},
          static_cast<double>(agent.access_log_dropped));
}

void add_lanes(std::vector<MetricFamily>& families, const std::vector<LaneTotals>& lanes) {
  constexpr std::array<Column, 6> kColumns = {{
      {"sockmesh_lane_available", "1: self-test passed and switched on", MetricType::Gauge},
      {"sockmesh_lane_flows_total", "Flows that entered the lane; one that changes lanes enters several"},
      {"sockmesh_lane_flows_active", "Flows in the lane now", MetricType::Gauge},
      {"sockmesh_lane_refused_total", "Flows that were to enter the lane and could not, or came too late"},
      {"sockmesh_lane_stuck_total", "Flows that the lane's safety net reset"},
      {"sockmesh_lane_bytes_total", "Bytes the lane moved, of ended flows"},
  }};
  std::map<std::string, std::array<uint64_t, 6>> rows;
  for (const LaneTotals& lane : lanes)
    rows[to_string(lane.lane)] = {
        lane.available ? 1u : 0u, lane.flows_total, lane.flows_active, lane.refused, lane.stuck,
        lane.bytes_total};
  add_table(families, kColumns, rows, [](const std::string& name) { return Labels{{"lane", name}}; });
}

void add_dns(std::vector<MetricFamily>& families, const DnsTotals& dns) {
  constexpr std::array<Column, 4> kColumns = {{
      {"envoy_cluster_update_attempt", "Lookups of the cluster's names"},
      {"envoy_cluster_update_success", "Lookups that changed or confirmed the hosts"},
      {"envoy_cluster_update_failure", "Lookups that left the hosts as they were"},
      {"envoy_cluster_update_empty", "Lookups answered without an address"},
  }};
  std::map<std::string, std::array<uint64_t, 4>> rows;
  for (const auto& [cluster, counts] : dns.clusters)
    rows[cluster] = {counts.attempt, counts.success, counts.failure, counts.empty};
  add_table(families, kColumns, rows, [](const std::string& name) { return Labels{{"cluster_name", name}}; });
  if (dns.answer_age_seconds.empty()) return;
  MetricFamily age{
      "sockmesh_dns_answer_age_seconds", "Since the name was last answered", MetricType::Gauge, {}};
  for (const auto& [name, seconds] : dns.answer_age_seconds)
    age.metric.push_back(sample(age.type, seconds, {{"name", name}}));
  families.push_back(std::move(age));
}

}  // namespace

std::string prometheus_text(const CounterTotals& counters, const AgentTotals& agent) {
  std::vector<MetricFamily> families;
  add_table(families, kTcpColumns, counters.tcp, istio_labels);
  add_table(families, kClusterColumns, counters.clusters, [](const std::string& name) {
    return Labels{{"cluster_name", name}};
  });
  add_table(families, kListenerColumns, counters.listeners, [](const std::string& name) {
    return Labels{{"listener_address", name}};
  });
  add_agent(families, agent);
  add_lanes(families, agent.lanes);
  add_dns(families, agent.dns);
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return std::move(out).str();
}

}  // namespace sockmesh::telemetry
