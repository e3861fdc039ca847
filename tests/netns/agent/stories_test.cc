// The published stories that tools/demo tells, on the same manifests, as assertions.
#include <catch2/catch.hpp>
#include <optional>

#include "mesh.h"
#include "test_support/eventually.h"

namespace sockmesh::test {
namespace {

const std::string kManifests = "deploy/samples/";

SocketAddress address(const std::string& text) { return SocketAddress::parse(text).value(); }

// The access-log line of the connection that `connect` makes.
template <typename Connect>
AccessLine line_of(Agent& agent, Connect connect) {
  const size_t before = agent.log().size();
  connect();
  // A pod that is led to itself has a line for each way, in any order.
  std::optional<AccessLine> found;
  EVENTUALLY([&] {
    const auto lines = agent.log();
    for (size_t i = before; i < lines.size() && !found; ++i)
      if (!lines[i].cluster.starts_with("inbound|")) found = lines[i];
    return found.has_value();
  }());
  return *found;
}

bool has_listener(Agent& agent, const std::string& name) {
  const nlohmann::json listeners = agent.ctl("listeners")["listeners"];
  return std::any_of(listeners.begin(), listeners.end(),
                     [&](const nlohmann::json& listener) { return listener["name"] == name; });
}

TEST_CASE("an ExternalName of another namespace takes a port over, with the semantics of 1.5 only") {
  Mesh mesh;
  Pod& pod = mesh.pod("p44xx", "10.12.0.12");
  Pod& other_pod = mesh.pod("sh7rx", "10.12.2.8");
  mesh.name("idle.manager.svc.cluster.local", "10.0.23.221");
  mesh.apply("mesh-config.yaml", mesh_config("connectTimeout: 1s\ncompatibilityVersion: \"1.5\""));
  mesh.apply_file(kManifests + "hazelcast/services.yaml");
  mesh.apply_file(kManifests + "hazelcast/pods.yaml");
  Agent& agent = mesh.sidecar(pod, "manager-7948dffbdd-p44xx", {.ns = "manager"});
  Agent& other = mesh.sidecar(other_pod, "manager-7948dffbdd-sh7rx", {.ns = "manager"});
  mesh.echo(pod, 5701, "p44xx");
  mesh.echo(other_pod, 5701, "sh7rx");

  // The service's address: its cluster, either pod.
  std::string answer;
  AccessLine line = line_of(agent, [&] { answer = mesh.ask(pod, address("10.0.23.154:5701"), "hi"); });
  CHECK_THAT(answer, Catch::EndsWith(" hi"));
  CHECK(line.cluster == "outbound|5701||manager.manager.svc.cluster.local");
  CHECK(line.destination == "10.0.23.154:5701");
  CHECK(line.received == 3);
  CHECK(line.sent == answer.size() + 1);

  // A pod's address: passthrough, and in 1.5 an inbound cluster by the service's name.
  const auto ask_peer = [&] { answer = mesh.ask(pod, address("10.12.2.8:5701"), "hi"); };
  line = line_of(agent, ask_peer);
  CHECK(answer == "sh7rx hi");
  CHECK(line.cluster == "PassthroughCluster");
  CHECK(line.upstream == "10.12.2.8:5701");
  EVENTUALLY(!other.log().empty());
  CHECK(other.log().back().cluster == "inbound|5701|tcp-hazelcast|manager.manager.svc.cluster.local");

  // The ExternalName.
  mesh.apply_file(kManifests + "hazelcast/app-ext.yaml");
  EVENTUALLY(has_listener(agent, "0.0.0.0_5701"));
  line = line_of(agent, ask_peer);
  CHECK(answer == "");
  CHECK(line.cluster == "outbound|5701||app-ext.app.svc.cluster.local");
  CHECK(line.upstream == "10.0.23.221:5701");
  CHECK(line.flags == "UF,URX");
  CHECK(agent.ctl("explain 10.12.0.12:5701")["cluster"] == "BlackHoleCluster");
  CHECK(agent.ctl("explain 10.12.0.12:5701")["responseFlags"] == "UH");

  // Its cure: exported to its own namespace alone.
  mesh.apply("app-ext.yaml", read_text(source_file(kManifests + "hazelcast/app-ext-private.yaml")));
  EVENTUALLY(!has_listener(agent, "0.0.0.0_5701"));
  line = line_of(agent, ask_peer);
  CHECK(answer == "sh7rx hi");
  CHECK(line.cluster == "PassthroughCluster");

  // And today's Istio, with the Service visible again.
  mesh.apply("mesh-config.yaml", mesh_config("connectTimeout: 1s"));
  mesh.apply_file(kManifests + "hazelcast/app-ext.yaml");
  for (Agent* one : {&agent, &other})
    EVENTUALLY(one->ctl("clusters").dump().find("inbound|5701||") != std::string::npos);
  CHECK_FALSE(has_listener(agent, "0.0.0.0_5701"));
  line = line_of(agent, ask_peer);
  CHECK(answer == "sh7rx hi");
  CHECK(line.cluster == "PassthroughCluster");
  EVENTUALLY(other.log().back().cluster == "inbound|5701||");
}

TEST_CASE("weights are drawn per connection by a gateway") {
  Mesh mesh;
  mesh.apply_file(kManifests + "weights/mesh.yaml");
  Pod& v1 = mesh.pod("v1", "172.17.0.5");
  Pod& v2 = mesh.pod("v2", "172.17.0.6");
  Pod& gateway_pod = mesh.pod("gateway", "192.168.99.100");
  Pod& outside = mesh.pod("outside", "192.168.99.1");
  mesh.echo(v1, 9000, "one");
  mesh.echo(v2, 9000, "two");
  Agent& gateway = mesh.gateway(gateway_pod, "ingressgateway", {.ns = "istio-system"});

  std::map<std::string, int> answers;
  const int count = 300;
  for (int i = 0; i < count; ++i) ++answers[mesh.ask(outside, address("192.168.99.100:31400"), "x")];
  CHECK(answers["one x"] + answers["two x"] == count);
  // Five standard deviations (6.9 each) around 240.
  CHECK(answers["one x"] > 205);
  CHECK(answers["one x"] < 275);
  EVENTUALLY(gateway.log().size() == count);
  int to_v1 = 0;
  for (const AccessLine& line : gateway.log()) {
    to_v1 += line.cluster == "outbound|9000|v1|tcp-echo-server.default.svc.cluster.local" ? 1 : 0;
  }
  CHECK(to_v1 == answers["one x"]);
}

TEST_CASE("two gateways lead to two subsets, and the server may speak first") {
  Mesh mesh;
  mesh.apply_file(kManifests + "two-gateways/mesh.yaml");
  Pod& v1 = mesh.pod("v1", "172.16.2.90");
  Pod& v2 = mesh.pod("v2", "172.16.2.95");
  Pod& gateway_pod = mesh.pod("gateway", "172.16.1.7");
  Pod& terminal = mesh.pod("terminal", "172.16.99.1");
  mesh.echo(v1, 3333, "", "on v1");
  mesh.echo(v2, 3333, "", "on v2");
  Agent& gateway = mesh.gateway(gateway_pod, "istio-ingressgateway", {.ns = "istio-system"});
  for (const auto& [port, version] : {std::pair{31400, "v1"}, std::pair{31401, "v2"}}) {
    std::string welcome;
    const SocketAddress to = address(fmt::format("172.16.1.7:{}", port));
    const AccessLine line = line_of(gateway, [&] { welcome = mesh.listen(terminal, to); });
    CHECK(welcome == std::string("on ") + version);
    CHECK(line.cluster == fmt::format("outbound|3333|{}|tcp-echo.default.svc.cluster.local", version));
  }
}

}  // namespace
}  // namespace sockmesh::test
