#include "telemetry/metrics.h"

#include <catch2/catch.hpp>

#include "records.h"
#include "telemetry/istio_labels.h"

namespace sockmesh::telemetry {

namespace {

std::string label(const ConnectionRecord& record, std::string_view name) {
  const auto values = istio_label_values(istio_label_key(record));
  for (size_t i = 0; i < kIstioLabels.size(); ++i)
    if (kIstioLabels[i] == name) return values[i];
  return "no such label";
}

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("labels of the source reporter") {
  const ConnectionRecord record = some_record();
  CHECK(label(record, "reporter") == "source");
  CHECK(label(record, "source_workload") == "client-7d9");
  CHECK(label(record, "source_canonical_revision") == "v1");
  CHECK(label(record, "source_principal") == "unknown");
  CHECK(label(record, "destination_workload") == "manager-0");
  CHECK(label(record, "destination_version") == "unknown");
  CHECK(label(record, "destination_canonical_revision") == "latest");
  CHECK(label(record, "destination_service") == "manager.manager.svc.cluster.local");
  CHECK(label(record, "destination_service_name") == "manager");
  CHECK(label(record, "destination_service_namespace") == "manager");
  CHECK(label(record, "connection_security_policy") == "unknown");
  CHECK(label(record, "response_flags") == "-");
  CHECK(label(refused_record(), "response_flags") == "UF,URX");
}

TEST_CASE("a destination that nobody knows is named by its built-in cluster") {
  ConnectionRecord record = some_record();
  record.cluster = model::kPassthroughCluster;
  record.cluster_config = nullptr;
  record.peer = nullptr;
  CHECK(label(record, "destination_service") == "unknown");
  CHECK(label(record, "destination_service_name") == "PassthroughCluster");
  CHECK(label(record, "destination_service_namespace") == "unknown");
  CHECK(label(record, "destination_workload") == "unknown");
}

TEST_CASE("the destination reporter turns the ends round and falls back to its own service") {
  ConnectionRecord record = some_record();
  record.direction = model::Direction::kInbound;
  record.cluster = model::kInboundPassthroughCluster;
  record.cluster_config = nullptr;
  CHECK(label(record, "reporter") == "destination");
  CHECK(label(record, "source_workload") == "manager-0");
  CHECK(label(record, "destination_workload") == "client-7d9");
  CHECK(label(record, "destination_service") == "client");
  CHECK(label(record, "destination_service_name") == "InboundPassthroughCluster");
  CHECK(label(record, "connection_security_policy") == "none");
}

TEST_CASE("exposition: Istio's four with their labels in order, help and type") {
  CounterTotals counters;
  counters.tcp[istio_label_key(some_record())] = {3, 2, 120, 60};
  const std::string text = prometheus_text(counters, {.version = "0.1.0"});
  CHECK(has_line(text, "# TYPE istio_tcp_connections_opened_total counter"));
  CHECK(has_line(
      text,
      "istio_tcp_sent_bytes_total{reporter=\"source\",source_workload=\"client-7d9\",source_canonical_"
      "service="
      "\"client\",source_canonical_revision=\"v1\",source_workload_namespace=\"app\",source_principal="
      "\"unknown\","
      "source_app=\"client\",source_version=\"v1\",source_cluster=\"Kubernetes\",destination_workload="
      "\"manager-0\","
      "destination_workload_namespace=\"manager\",destination_principal=\"unknown\",destination_app="
      "\"manager\","
      "destination_version=\"unknown\",destination_service=\"manager.manager.svc.cluster.local\","
      "destination_canonical_service=\"manager\",destination_canonical_revision=\"latest\","
      "destination_service_name=\"manager\",destination_service_namespace=\"manager\",destination_cluster="
      "\"Kubernetes\",request_protocol=\"tcp\",response_flags=\"-\",connection_security_policy=\"unknown\"} "
      "120"));
  CHECK(has_line(text, "istio_build{component=\"proxy\",tag=\"0.1.0\"} 1"));
}

TEST_CASE("exposition: Envoy's cluster and listener names, our lanes, states of the server") {
  CounterTotals counters;
  counters.clusters["outbound|80||a.b"] = {5, 1, 2, 1, 0, 0, 10, 20, 0, 0};
  counters.listeners["virtualOutbound"] = {7, 1, 0};
  const std::string text = prometheus_text(
      counters,
      {.config_generation = 1,
       .access_log_dropped = 4,
       .lanes = {
           {.lane = model::Lane::kIoUring, .flows_active = 3, .bytes_total = 70},
           {.lane = model::Lane::kSkSkb, .available = true, .flows_total = 9, .refused = 5, .stuck = 6}}});
  CHECK(has_line(text, "envoy_cluster_upstream_cx_total{cluster_name=\"outbound|80||a.b\"} 5"));
  CHECK(has_line(text, "envoy_cluster_upstream_cx_connect_fail{cluster_name=\"outbound|80||a.b\"} 2"));
  CHECK(has_line(text, "envoy_listener_downstream_cx_active{listener_address=\"virtualOutbound\"} 1"));
  CHECK(has_line(text, "# TYPE sockmesh_lane_available gauge"));
  CHECK(has_line(text, "sockmesh_lane_available{lane=\"io_uring\"} 0"));
  CHECK(has_line(text, "sockmesh_lane_available{lane=\"sk_skb\"} 1"));
  CHECK(has_line(text, "sockmesh_lane_flows_total{lane=\"sk_skb\"} 9"));
  CHECK(has_line(text, "sockmesh_lane_flows_active{lane=\"io_uring\"} 3"));
  CHECK(has_line(text, "sockmesh_lane_refused_total{lane=\"sk_skb\"} 5"));
  CHECK(has_line(text, "sockmesh_lane_refused_total{lane=\"io_uring\"} 0"));
  CHECK(has_line(text, "sockmesh_lane_stuck_total{lane=\"sk_skb\"} 6"));
  CHECK(has_line(text, "sockmesh_lane_bytes_total{lane=\"io_uring\"} 70"));
  CHECK(has_line(text, "sockmesh_access_log_dropped_total 4"));
  CHECK(has_line(text, "envoy_server_state 0"));
}

TEST_CASE("exposition: lookups of names") {
  AgentTotals totals;
  totals.dns.clusters["outbound|80||db"] = {.attempt = 7, .success = 4, .failure = 3, .empty = 2};
  totals.dns.answer_age_seconds["db.example.com"] = 1.5;
  const std::string text = prometheus_text({}, totals);
  CHECK(has_line(text, "# TYPE envoy_cluster_update_attempt counter"));
  CHECK(has_line(text, "envoy_cluster_update_attempt{cluster_name=\"outbound|80||db\"} 7"));
  CHECK(has_line(text, "envoy_cluster_update_success{cluster_name=\"outbound|80||db\"} 4"));
  CHECK(has_line(text, "envoy_cluster_update_failure{cluster_name=\"outbound|80||db\"} 3"));
  CHECK(has_line(text, "envoy_cluster_update_empty{cluster_name=\"outbound|80||db\"} 2"));
  CHECK(has_line(text, "sockmesh_dns_answer_age_seconds{name=\"db.example.com\"} 1.5"));
  CHECK(prometheus_text({}, {}).find("sockmesh_dns") == std::string::npos);
}

TEST_CASE("the overflow series keeps the label set") {
  CounterTotals counters;
  counters.tcp[std::string(kOverflowKey)] = {1, 1, 0, 0};
  const std::string text = prometheus_text(counters, {});
  CHECK(text.find("destination_service_name=\"sockmesh-overflow\"") != std::string::npos);
}

}  // namespace sockmesh::telemetry
