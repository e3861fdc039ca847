// What `apply --plan` says: from two sets of manifests and the flows that are open.
#include "model/plan.h"

#include <catch2/catch.hpp>

#include "config/compiler/compiler.h"
#include "config/manifest/reader.h"

using namespace sockmesh;
using namespace sockmesh::config;
using namespace sockmesh::model;

namespace {

constexpr char kMesh[] = R"(
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: default, labels: {app: client}}
status: {podIP: 10.244.0.1}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {clusterIP: 10.96.1.10, selector: {app: echo}, ports: [{name: tcp, port: 9000}]}
---
apiVersion: v1
kind: Pod
metadata: {name: echo-1, labels: {app: echo, version: v1}}
status: {podIP: 10.244.1.1}
---
apiVersion: v1
kind: Pod
metadata: {name: echo-2, labels: {app: echo, version: v2}}
status: {podIP: 10.244.1.2}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo}
spec: {host: echo, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
)";

model::SnapshotPtr compiled(const std::string& manifests) {
  Resources resources;
  std::vector<ReadProblem> problems;
  REQUIRE(read_manifest(manifests, "mesh.yaml", resources, problems));
  REQUIRE(problems.empty());
  ProxyIdentity identity;
  identity.pod = "client";
  identity.ns = "default";
  return compile(resources, identity);
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

OpenFlow flow(const std::string& to, const std::string& cluster, const std::string& upstream = "") {
  OpenFlow out;
  out.id = "f1";
  out.source = *SocketAddress::parse("10.244.0.1:40000");
  out.original_destination = *SocketAddress::parse(to);
  out.cluster = cluster;
  if (!upstream.empty()) out.upstream = *SocketAddress::parse(upstream);
  return out;
}

constexpr char kEcho[] = "outbound|9000||echo.default.svc.cluster.local";

}  // namespace

TEST_CASE("plan: the same configuration changes nothing") {
  const auto snapshot = compiled(kMesh), again = compiled(kMesh);
  const Plan plan = make_plan(*snapshot, *again, {flow("10.96.1.10:9000", kEcho, "10.244.1.1:9000")});
  CHECK(plan.empty());
  CHECK(to_text(plan) == "Nothing changes; 1 open flows stay as they are.\n");
}

TEST_CASE("plan: a route shift tells the route, and the flows that would go elsewhere") {
  const auto before = compiled(kMesh);
  const auto after = compiled(std::string(kMesh) + R"(---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shift}
spec: {hosts: [echo], tcp: [{route: [{destination: {host: echo, subset: v1}, weight: 80}, {destination: {host: echo, subset: v2}, weight: 20}]}]}
)");
  const Plan plan =
      make_plan(*before, *after, {flow("10.96.1.10:9000", kEcho), flow("1.2.3.4:80", "PassthroughCluster")});
  REQUIRE(plan.routes.size() == 1);
  CHECK(plan.routes[0].kind == ChangeKind::kChanged);
  CHECK(plan.routes[0].listener == "10.96.1.10_9000");
  CHECK(plan.routes[0].before == kEcho);
  CHECK(plan.routes[0].after ==
        "80 % outbound|9000|v1|echo.default.svc.cluster.local, 20 % "
        "outbound|9000|v2|echo.default.svc.cluster.local");
  CHECK(plan.routes[0].object->name == "shift");
  CHECK(plan.flows_seen == 2);
  REQUIRE(plan.flows.size() == 1);
  CHECK(plan.flows[0].after == plan.routes[0].after);
  CHECK_THAT(
      to_text(plan),
      Catch::Contains("! f1 10.244.0.1:40000 -> 10.96.1.10:9000: " + std::string(kEcho) + " -> 80 % "));
  CHECK_THAT(to_text(plan),
             Catch::EndsWith("1 of 2 open flows would be routed otherwise; none is touched.\n"));
}

TEST_CASE("plan: a service that takes a port over is seen before it bites") {
  const auto before = compiled(kMesh);
  const auto after = compiled(std::string(kMesh) + R"(---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wide}
spec: {hosts: [wide.example.com], ports: [{number: 5701, name: tcp, protocol: TCP}], resolution: STATIC, endpoints: [{address: 10.9.9.9}]}
)");
  const Plan plan = make_plan(*before, *after, {flow("10.244.7.7:5701", "PassthroughCluster")});
  REQUIRE(plan.listeners.size() == 1);
  CHECK(plan.listeners[0].kind == ChangeKind::kAdded);
  CHECK(plan.listeners[0].name == "0.0.0.0_5701");
  REQUIRE(plan.flows.size() == 1);
  CHECK(plan.flows[0].after == "outbound|5701||wide.example.com");
  CHECK(plan.flows[0].object->name == "wide");
  CHECK_THAT(plan.flows[0].reason, Catch::Contains("0.0.0.0_5701"));
}

TEST_CASE("plan: a service that goes is lost, and its traffic passes through") {
  const auto before = compiled(kMesh);
  const auto after = compiled(
      replaced(kMesh, "kind: Service\nmetadata: {name: echo}",
               "kind: Service\nmetadata: {name: echo, annotations: {networking.istio.io/exportTo: \"~\"}}"));
  const Plan plan = make_plan(*before, *after, {flow("10.96.1.10:9000", kEcho)});
  REQUIRE(plan.listeners.size() == 1);
  CHECK(plan.listeners[0].kind == ChangeKind::kRemoved);
  REQUIRE(plan.routes.size() == 1);
  CHECK(plan.routes[0].kind == ChangeKind::kRemoved);
  CHECK(plan.routes[0].before == kEcho);
  CHECK(plan.routes[0].after == "PassthroughCluster");
  CHECK(plan.clusters.size() == 3);  // with its two subsets
  REQUIRE(plan.flows.size() == 1);
  CHECK(plan.flows[0].after == "PassthroughCluster");
  CHECK_THAT(to_text(plan), Catch::Contains("- 10.96.1.10_9000, everything: " + std::string(kEcho) +
                                            " -> PassthroughCluster"));
}

TEST_CASE("plan: endpoints that come, go and change") {
  const auto before = compiled(kMesh);
  std::string text = replaced(kMesh, "10.244.1.1", "10.244.1.3");
  text = replaced(text, "status: {podIP: 10.244.1.2}",
                  "status: {podIP: 10.244.1.2, conditions: [{type: Ready, status: \"False\"}]}");
  const auto after = compiled(text);
  const Plan plan = make_plan(
      *before, *after,
      {flow("10.96.1.10:9000", kEcho, "10.244.1.1:9000"), flow("10.96.1.10:9000", kEcho, "10.244.1.2:9000")});
  CHECK(plan.listeners.empty());
  CHECK(plan.routes.empty());
  CHECK(plan.clusters.empty());
  std::vector<std::string> seen;
  for (const PlanChange& change : plan.endpoints) {
    if (change.name.ends_with(kEcho)) {
      seen.push_back(std::string(change.kind == ChangeKind::kAdded     ? "+"
                                 : change.kind == ChangeKind::kRemoved ? "-"
                                                                       : "~") +
                     change.name.substr(0, change.name.find(' ')) +
                     (change.details.empty() ? "" : " " + change.details[0]));
    }
  }
  CHECK(seen == std::vector<std::string>{"-10.244.1.1:9000", "~10.244.1.2:9000 health: healthy -> unhealthy",
                                         "+10.244.1.3:9000"});
  REQUIRE(plan.flows.size() == 2);
  CHECK(plan.flows[0].after == "another endpoint of " + std::string(kEcho));
  CHECK(plan.flows[0].reason == "10.244.1.1:9000 is no endpoint any more");
}

TEST_CASE("plan: settings of a cluster, by name") {
  const auto before = compiled(kMesh);
  const auto after = compiled(replaced(
      kMesh, "spec: {host: echo, subsets",
      "spec: {host: echo, trafficPolicy: {connectionPool: {tcp: {connectTimeout: 3s, maxConnections: 7}}, "
      "loadBalancer: {simple: ROUND_ROBIN}}, subsets"));
  const Plan plan = make_plan(*before, *after, {flow("10.96.1.10:9000", kEcho)});
  REQUIRE(plan.clusters.size() == 3);
  CHECK(plan.clusters[2].name == kEcho);
  CHECK(plan.clusters[2].details == std::vector<std::string>{"load balancer: LEAST_REQUEST -> ROUND_ROBIN",
                                                             "connect timeout: 10s -> 3s",
                                                             "max connections: - -> 7"});
  CHECK(plan.flows.empty());
}

TEST_CASE("plan: REGISTRY_ONLY closes what passed through") {
  const auto before = compiled(kMesh);
  const auto after =
      compiled(std::string(kMesh) +
               "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
               "data:\n  mesh: |-\n    outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n");
  const Plan plan =
      make_plan(*before, *after, {flow("1.2.3.4:80", "PassthroughCluster"), flow("10.96.1.10:9000", kEcho)});
  REQUIRE(plan.flows.size() == 1);
  CHECK(plan.flows[0].after == "BlackHoleCluster");
  bool told = false;
  for (const RouteChange& change : plan.routes) {
    told |= change.listener == "virtualOutbound" && change.before == "PassthroughCluster" &&
            change.after == "BlackHoleCluster";
  }
  CHECK(told);
}

TEST_CASE("plan: a bound listener that goes refuses its clients") {
  const auto snapshot = compiled(kMesh);
  OpenFlow open = flow("10.0.0.1:9000", kEcho);
  open.bound_listener = "0.0.0.0_9000";
  const Plan plan = make_plan(*snapshot, *snapshot, {open});
  REQUIRE(plan.flows.size() == 1);
  CHECK(plan.flows[0].after == "refused");
  CHECK(plan.flows[0].reason == "nothing listens on 0.0.0.0_9000");
}

TEST_CASE("plan: long sections are cut, and say so") {
  const auto before = compiled(kMesh);
  std::string text = kMesh;
  for (int i = 0; i < 60; ++i) {
    text += fmt::format(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{0}}}\nspec: {{clusterIP: 10.97.0.{0}, "
        "ports: [{{name: tcp, port: 80}}]}}\n",
        i + 1);
  }
  const std::string shown = to_text(make_plan(*before, *compiled(text), {}), 10);
  CHECK_THAT(shown, Catch::Contains("Listeners (60):\n") && Catch::Contains("  ... and 50 more\n"));
}
