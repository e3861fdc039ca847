// Names of DNS clusters whose server is dead: what is dialled, and that people are told.
#include <catch2/catch.hpp>

#include "mesh.h"
#include "test_support/eventually.h"
#include "test_support/http.h"

namespace sockmesh::test {
namespace {

const char* const kManifests = R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: dead}
spec: {hosts: [dead.example.com], addresses: [192.0.2.1], resolution: DNS, ports: [{number: 5432, name: tcp, protocol: TCP}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: well}
spec: {hosts: [well.example.com], addresses: [192.0.2.2], resolution: DNS, ports: [{number: 5432, name: tcp, protocol: TCP}]}
)";

nlohmann::json endpoint_of(const Agent& agent, const std::string& address) {
  const nlohmann::json view = agent.ctl("endpoints");
  for (const nlohmann::json& endpoint : view["endpoints"])
    if (endpoint["address"] == address) return endpoint;
  return nullptr;
}

TEST_CASE("a name whose server is dead shows in endpoints, status and metrics") {
  Mesh mesh;
  mesh.apply("names.yaml", kManifests);
  mesh.name("well.example.com", "10.12.0.12");  // in the hosts file: no server is asked
  Pod& pod = mesh.pod("client-0", "10.12.0.11");
  Pod& other = mesh.pod("db-0", "10.12.0.12");
  mesh.echo(other, 5432, "db");
  // Nobody listens there.
  Agent& agent = mesh.sidecar(pod, "client-0", {.more = {"--dns-servers", "127.0.0.1:5353"}});
  EVENTUALLY(endpoint_of(agent, "dead.example.com:5432")["dns"]["state"] == "failing");

  const nlohmann::json dead = endpoint_of(agent, "dead.example.com:5432");
  CHECK(dead["health"] == "unresolved");
  CHECK(dead["dns"]["addresses"].empty());
  CHECK_THAT(dead["dns"]["error"].get<std::string>(), Catch::Contains("DNS servers"));
  CHECK(dead["dns"]["answerAgeSeconds"].is_null());
  const nlohmann::json well = endpoint_of(agent, "well.example.com:5432");
  CHECK(well["health"] == "healthy");
  CHECK(well["dns"]["addresses"] == nlohmann::json::array({"10.12.0.12"}));

  const nlohmann::json names = agent.ctl("status")["names"];
  REQUIRE(names.size() == 1);
  CHECK(names[0]["name"] == "dead.example.com");
  CHECK(names[0]["state"] == "failing");

  const auto updates = [&](const std::string& what, const std::string& host) {
    return metric(agent.metrics(), "envoy_cluster_update_" + what,
                  {{"cluster_name", "outbound|5432||" + host + ".example.com"}});
  };
  CHECK(updates("failure", "dead") >= 1);
  CHECK(updates("success", "dead") == 0);
  CHECK(updates("success", "well") >= 1);
  CHECK(updates("failure", "well") == 0);

  CHECK(mesh.ask(pod, SocketAddress::parse("192.0.2.2:5432").value(), "hi") == "db hi");
  CHECK(mesh.ask(pod, SocketAddress::parse("192.0.2.1:5432").value(), "hi") == "");
  EVENTUALLY(agent.log().size() == 2);
  for (const AccessLine& line : agent.log())
    CHECK(line.flags == (line.cluster == "outbound|5432||well.example.com" ? "-" : "UH"));
}

}  // namespace
}  // namespace sockmesh::test
