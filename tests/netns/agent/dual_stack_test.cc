// A dual-stack pod as Istio injects it: INSTANCE_IP says its IPv4 address alone, the rules are made with
// ISTIO_DUAL_STACK (mesh.cc does both), and the IPv6 address is for the agent to find.
//
//   client-0 ──▶ web-0 (sidecar): v4 and v6, from outside, to itself, to a service, without a service
#include <catch2/catch.hpp>

#include "mesh.h"
#include "test_support/eventually.h"

namespace sockmesh::test {
namespace {

SocketAddress address(const std::string& text) { return SocketAddress::parse(text).value(); }

const char* const kManifests = R"(
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.7
  clusterIPs: [10.96.0.7, "fd96::7"]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{name: tcp, port: 80, targetPort: 9000}]
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, ipFamilies: [IPv4, IPv6], ipFamilyPolicy: RequireDualStack, selector: {app: db}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, labels: {app: web}}
spec: {containers: [{name: web}]}
status: {podIP: 10.12.0.11, podIPs: [{ip: 10.12.0.11}, {ip: "fd12::b"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, labels: {app: db}}
spec: {containers: [{name: db}]}
status: {podIP: 10.12.0.12, podIPs: [{ip: 10.12.0.12}, {ip: "fd12::c"}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-v4, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [{addresses: [10.12.0.12], conditions: {ready: true}, targetRef: {kind: Pod, name: db-0, namespace: default}}]
ports: [{name: tcp, port: 5432}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-v6, labels: {kubernetes.io/service-name: db}}
addressType: IPv6
endpoints: [{addresses: ["fd12::c"], conditions: {ready: true}, targetRef: {kind: Pod, name: db-0, namespace: default}}]
ports: [{name: tcp, port: 5432}]
)";

struct Stack {
  Stack() : web(mesh.pod("web-0", "10.12.0.11")), other(mesh.pod("db-0", "10.12.0.12")) {}

  Mesh mesh;
  Pod& web;
  Pod& other;
};

std::vector<std::string> clusters_of(const Agent& agent) {
  std::vector<std::string> clusters;
  for (const AccessLine& line : agent.log()) clusters.push_back(line.cluster + " " + line.flags);
  return clusters;
}

TEST_CASE("a dual-stack pod is told one address and serves both families") {
  // Whether or not the folder says more than the environment does.
  const bool with_manifests = GENERATE(true, false);
  CAPTURE(with_manifests);
  Stack stack;
  if (with_manifests) stack.mesh.apply("web.yaml", kManifests);
  Agent& agent = stack.mesh.sidecar(stack.web, "web-0");
  stack.mesh.echo(stack.web, 9000, "web");
  stack.mesh.echo(stack.other, 5432, "db");

  const nlohmann::json identity = agent.ctl("status")["identity"];
  CHECK(identity["addresses"] == nlohmann::json::parse(R"([{"ip": "10.12.0.11", "from": "INSTANCE_IP"},
                                                           {"ip": "fd12::b", "from": "interface eth0"}])"));

  struct Way {
    const char* what;
    Pod& from;
    SocketAddress to;
    const char* answer;
    std::vector<std::string> clusters;
  };
  const std::string inbound = with_manifests ? "inbound|9000|| -" : "InboundPassthroughCluster -";
  const std::string web = "outbound|80||web.default.svc.cluster.local -",
                    db = "outbound|5432||db.default.svc.cluster.local -";
  std::vector<Way> ways;
  for (const bool ipv6 : {false, true}) {
    ways.push_back({"from outside", stack.other, stack.web.at(9000, ipv6), "web hi", {inbound}});
    ways.push_back({"passthrough",
                    stack.web,
                    stack.other.at(5432, ipv6),
                    "db hi",
                    {with_manifests ? db : "PassthroughCluster -"}});
    if (!with_manifests) continue;
    ways.push_back({"to itself through the service",
                    stack.web,
                    address(ipv6 ? "[fd96::7]:80" : "10.96.0.7:80"),
                    "web hi",
                    {inbound, web}});
  }
  for (const Way& way : ways) {
    CAPTURE(way.what, way.to.to_string());
    const size_t before = agent.log().size();
    CHECK(stack.mesh.ask(way.from, way.to, "hi") == way.answer);
    EVENTUALLY(agent.log().size() == before + way.clusters.size());
    auto seen = clusters_of(agent);
    seen.erase(seen.begin(), seen.begin() + static_cast<std::ptrdiff_t>(before));
    std::sort(seen.begin(), seen.end());
    CHECK(seen == way.clusters);
  }
  CHECK(agent.errors().find("comes back") == std::string::npos);
}

TEST_CASE("many connections over IPv6 to a dual-stack pod") {
  Stack stack;
  Agent& agent = stack.mesh.sidecar(stack.web, "web-0");
  auto server = Process::start({.argv = {built_program("sm-streams"), "server", "--listen",
                                         stack.web.at(7000, true).to_string(), "--flows", "400"},
                                .netns = &stack.web.netns});
  REQUIRE(server);
  EVENTUALLY(server->output().find("listening") != std::string::npos);
  auto client = Process::start(
      {.argv = {built_program("sm-streams"), "client", "--connect", stack.web.at(7000, true).to_string(),
                "--flows", "400", "--concurrency", "50", "--bytes", "1000"},
       .netns = &stack.other.netns});
  REQUIRE(client);
  const int status = client->wait().value_or(-1);
  INFO(client->output());
  CHECK(status == 0);
  EVENTUALLY(agent.log().size() == 400);
}

TEST_CASE("a single-stack pod has one family") {
  const bool ipv6 = GENERATE(false, true);
  CAPTURE(ipv6);
  Stack stack;
  stack.web.netns.ip(ipv6 ? "addr del 10.12.0.11/32 dev eth0" : "addr del fd12::b/128 dev eth0");
  Agent& agent = stack.mesh.sidecar(stack.web, "web-0");
  stack.mesh.echo(stack.web, 9000, "web");
  if (!ipv6) {
    // INSTANCE_IP says it, the interface has it: once.
    CHECK(agent.ctl("status")["identity"]["ips"] == nlohmann::json::array({"10.12.0.11"}));
  }
  CHECK(stack.mesh.ask(stack.other, stack.web.at(9000, ipv6), "hi") == "web hi");
  EVENTUALLY(agent.log().size() == 1);
  CHECK(clusters_of(agent) == std::vector<std::string>{"InboundPassthroughCluster -"});
}

TEST_CASE("an IPv6 address that the agent does not know of is served all the same") {
  // As when it comes after the agent has started: the rules know it, --ip keeps it from the agent.
  Stack stack;
  Agent& agent = stack.mesh.sidecar(stack.web, "web-0", {.more = {"--ip", "10.12.0.11"}});
  stack.mesh.echo(stack.web, 9000, "web");
  CHECK(agent.ctl("status")["identity"]["ips"] == nlohmann::json::array({"10.12.0.11"}));
  for (const bool ipv6 : {false, true})
    CHECK(stack.mesh.ask(stack.other, stack.web.at(9000, ipv6), "hi") == "web hi");
  EVENTUALLY(agent.log().size() == 2);
  CHECK(agent.errors().find("comes back") == std::string::npos);
}

}  // namespace
}  // namespace sockmesh::test
