// What goes in circles: rules that send the agent's own traffic back to it.
#include <catch2/catch.hpp>

#include "mesh.h"
#include "test_support/eventually.h"

namespace sockmesh::test {
namespace {

SocketAddress address(const std::string& text) { return SocketAddress::parse(text).value(); }

TEST_CASE(
    "rules that do not exempt the agent's user: a connection ends after a few rounds, and the agent says "
    "why") {
  Mesh mesh;
  Pod& pod = mesh.pod("web", "10.12.0.11");
  Pod& other = mesh.pod("db", "10.12.0.12");
  Agent& agent = mesh.sidecar(pod, "web-1", {.exempt = "4242"});
  mesh.echo(other, 9000, "db");
  // An address of nobody's service: passthrough, again and again.
  CHECK(mesh.ask(pod, address("10.12.0.12:9000"), "hi") == "");
  EVENTUALLY(agent.open_flows() == 0);
  const std::vector<AccessLine> log = agent.log();
  // A few more than four where the ends of a connection are entered late; without end it would be thousands.
  CHECK(log.size() <= 32);
  CHECK(std::any_of(log.begin(), log.end(), [](const AccessLine& line) {
    return line.cluster == "BlackHoleCluster" && line.flags == "UH" &&
           line.text.find(" proxy_loop ") != std::string::npos;
  }));
  CHECK_THAT(agent.errors(), Catch::Contains("what this agent sends to 10.12.0.12:9000 comes back to it"));
  // Who dials the capture ports themselves.
  for (const char* own : {"10.12.0.11:15001", "10.12.0.11:15006", "127.0.0.1:15001", "127.0.0.1:15006"})
    CHECK(mesh.ask(pod, address(own), "hi") == "");
  EVENTUALLY(agent.open_flows() == 0);
}

TEST_CASE("a pod that calls itself through a service passes its agent twice, and no more is needed") {
  Mesh mesh;
  mesh.apply("web.yaml",
             "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.96.0.7, selector: "
             "{app: web}, ports: "
             "[{name: tcp, port: 80, targetPort: 9000}]}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: "
             "web-1, labels: {app: "
             "web}}\nspec: {containers: [{name: web}]}\nstatus: {podIP: 10.12.0.11}\n");
  Pod& pod = mesh.pod("web", "10.12.0.11");
  Agent& agent = mesh.sidecar(pod, "web-1");
  mesh.echo(pod, 9000, "web");
  CHECK(mesh.ask(pod, address("10.96.0.7:80"), "hi") == "web hi");
  EVENTUALLY(agent.log().size() == 2);
  CHECK(agent.errors().find("comes back") == std::string::npos);
}

}  // namespace
}  // namespace sockmesh::test
