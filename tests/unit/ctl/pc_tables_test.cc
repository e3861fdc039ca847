// istioctl's tables on Envoy's own shapes, those that only an Envoy makes included.
#include "ctl/pc_tables.h"

#include <catch2/catch.hpp>

#include "ctl/dump.h"

namespace sockmesh::ctl {

namespace {

Json chain(const char* text) { return Json::parse(text); }

}  // namespace

TEST_CASE("keys become istioctl's, metadata keeps its own") {
  CHECK(
      camel_keys(Json::parse(
          R"({"dynamic_active_clusters":[{"cluster":{"metadata":{"filter_metadata":{"istio":{"default_original_port":1}}}}}]})")) ==
      Json::parse(
          R"({"dynamicActiveClusters":[{"cluster":{"metadata":{"filterMetadata":{"istio":{"default_original_port":1}}}}}]})"));
}

TEST_CASE("what a chain matches") {
  CHECK(chain_match_text(Json::object()) == "ALL");
  CHECK(chain_match_text(chain(R"({"filterChainMatch":{"destinationPort":15001}})")) == "Addr: *:15001");
  CHECK(
      chain_match_text(chain(
          R"({"filterChainMatch":{"serverNames":["a","b"],"transportProtocol":"tls","applicationProtocols":["istio-peer-exchange","istio"],"prefixRanges":[{"addressPrefix":"10.0.0.0","prefixLen":8}],"destinationPort":80}})")) ==
      "SNI: a,b; Trans: tls; App: TCP TLS; Addr: 10.0.0.0/8:80");
}

TEST_CASE("where a chain goes") {
  const auto tcp = [](const std::string& config) {
    return chain_destination_text(Json::parse(
        R"({"filters":[{"name":"istio.stats"},{"name":"envoy.filters.network.tcp_proxy","typedConfig":)" +
        config + "}]}"));
  };
  CHECK(tcp(R"({"cluster":"outbound|9000||a.b"})") == "Cluster: outbound|9000||a.b");
  CHECK(tcp(R"({"cluster":"PassthroughCluster"})") == "PassthroughCluster");
  CHECK(tcp(R"({"cluster":"BlackHoleCluster"})") == "Non-HTTP/Non-TCP");
  CHECK(tcp(R"({"weightedClusters":{"clusters":[{"name":"x","weight":1},{"name":"y","weight":3}]}})") ==
        "Cluster: x (25%), y (75%)");
  CHECK(
      chain_destination_text(chain(
          R"({"filters":[{"name":"envoy.filters.network.http_connection_manager","typedConfig":{"rds":{"routeConfigName":"80"}}}]})")) ==
      "Route: 80");
  CHECK(chain_destination_text(Json::object()) == "Non-HTTP/Non-TCP");
}

TEST_CASE("clusters are sorted by host, subset, port as a number, direction") {
  const Json clusters =
      Json::parse(R"([{"name":"outbound|9000||b.c","type":"EDS"},{"name":"outbound|80||b.c","type":"EDS"},
    {"name":"outbound|80|v1|b.c","type":"EDS"},{"name":"inbound|80||","type":"ORIGINAL_DST"},{"name":"BlackHoleCluster","type":"STATIC"}])");
  CHECK(pc_clusters_table(clusters, false) ==
        "SERVICE FQDN         PORT     SUBSET     DIRECTION     TYPE             DESTINATION RULE\n"
        "                     80       -          inbound       ORIGINAL_DST     \n"
        "BlackHoleCluster     -        -          -             STATIC           \n"
        "b.c                  80       -          outbound      EDS              \n"
        "b.c                  9000     -          outbound      EDS              \n"
        "b.c                  80       v1         outbound      EDS              \n");
}

TEST_CASE("endpoints: pipes, internal addresses, IPv6, ejected hosts") {
  const Json statuses = Json::parse(R"([{"name":"c","hostStatuses":[
    {"address":{"socketAddress":{"address":"fd00::1","portValue":80}},"healthStatus":{"edsHealthStatus":"HEALTHY","failedOutlierCheck":true}},
    {"address":{"pipe":{"path":"/run/x"}},"healthStatus":{"edsHealthStatus":"DEGRADED"}},
    {"address":{"envoyInternalAddress":{"serverListenerName":"connect","endpointId":"1"}},"healthStatus":{}}]}])");
  CHECK(pc_endpoints_table(statuses) ==
        "ENDPOINT              STATUS       OUTLIER CHECK     CLUSTER\n"
        "envoy://connect/1     UNKNOWN      OK                c\n"
        "[fd00::1]:80          HEALTHY      FAILED            c\n"
        "unix:///run/x         DEGRADED     OK                c\n");
}

TEST_CASE("no match prints the header only") {
  CHECK(pc_endpoints_table(
            filtered_endpoints(Json::parse(R"([{"name":"c","hostStatuses":[]}])"), {.cluster = "d"})) ==
        "ENDPOINT     STATUS     OUTLIER CHECK     CLUSTER\n");
  CHECK(pc_listeners_table(Json::array(), true, false) == "ADDRESSES     PORT     MATCH     DESTINATION\n");
}

}  // namespace sockmesh::ctl
