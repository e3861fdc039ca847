// The list "Differences from Istio on ports that it parses" of userspace/config/README.md, item by item: each
// is shown here, and nothing is shown that is not listed.
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <set>

#include "../golden.h"
#include "base/strings.h"
#include "config/manifest/reader.h"
#include "simulate.h"

using namespace sockmesh;
using namespace sockmesh::config;

namespace {

constexpr char kMesh[] = R"(
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.96.1.10, selector: {app: web}, ports: [{name: http, port: 8080}, {name: odd, port: 7000}]}
---
apiVersion: v1
kind: Service
metadata: {name: me, namespace: default}
spec: {clusterIP: 10.96.1.11, selector: {app: me}, ports: [{name: http, port: 8080}, {name: odd, port: 7000}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: default, labels: {app: web}}
status: {podIP: 10.244.1.1}
---
apiVersion: v1
kind: Pod
metadata: {name: me, namespace: default, labels: {app: me}}
status: {podIP: 10.244.9.9}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: default}
spec: {hosts: [api.example.com], ports: [{number: 8080, name: http, protocol: HTTP}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: default}
spec: {hosts: [web], http: [{route: [{destination: {host: me}}]}]}
)";

class World {
 public:
  World() {
    std::vector<ReadProblem> problems;
    REQUIRE(read_manifest(kMesh, "mesh.yaml", mesh_.resources, problems));
    REQUIRE(problems.empty());
    mesh_.proxy.pod = "me";
    mesh_.proxy.ns = "default";
    snapshot_ = compile(mesh_.resources, mesh_.proxy);
  }
  // Where a probe ends: "CLUSTER UPSTREAM", or what the client sees.
  std::string probe(const std::string& text) const {
    const Fate fate = Simulation(mesh_, *snapshot_).play(parse_probe(text, snapshot_->self_ips.front()));
    return fate.client.empty() ? fate.endings.front().text() : fate.client;
  }
  std::set<std::string> listeners_of(uint16_t port) const {
    std::set<std::string> names;
    for (const auto& listener : snapshot_->listeners)
      if (listener->addresses.front().port == port) names.insert(listener->name);
    return names;
  }

 private:
  MeshCase mesh_;
  model::SnapshotPtr snapshot_;
};

const std::map<std::string, std::function<void(const World&)>> kShown = {
    {"no-wait",
     [](const World& world) {
       CHECK(world.probe("10.96.1.10:8080") ==
             "outbound|8080||web.default.svc.cluster.local 10.244.1.1:8080");
       CHECK(world.probe("10.96.1.10:7000") ==
             "outbound|7000||web.default.svc.cluster.local 10.244.1.1:7000");
       CHECK(world.probe("in 8080") == "inbound|8080|| 10.244.9.9:8080");
       CHECK(world.probe("in 7000") == "inbound|7000|| 10.244.9.9:7000");
       CHECK(world.probe("in 9999") == "InboundPassthroughCluster 10.244.9.9:9999");
     }},
    {"owner-not-passthrough",
     [](const World& world) {
       CHECK(world.probe("10.96.1.10:8080 send hello") ==
             "outbound|8080||web.default.svc.cluster.local 10.244.1.1:8080");
     }},
    {"no-bad-request",
     [](const World& world) {
       CHECK(world.probe("in 8080 send hello") == "inbound|8080|| 10.244.9.9:8080");
     }},
    {"no-http-route",
     [](const World& world) {
       CHECK(world.probe("10.96.1.10:8080 send GET / HTTP/1.1") ==
             "outbound|8080||web.default.svc.cluster.local 10.244.1.1:8080");
       CHECK(world.probe("192.0.2.1:8080 send GET / HTTP/1.1") == "PassthroughCluster 192.0.2.1:8080");
     }},
    {"own-listener",
     [](const World& world) {
       CHECK(world.listeners_of(8080) == std::set<std::string>{"10.96.1.10_8080", "10.96.1.11_8080"});
     }},
};

// The bold words of the numbered list.
std::set<std::string> listed() {
  std::set<std::string> names;
  bool inside = false;
  const std::string readme = read_text(README_FILE);
  for (std::string_view line : split(readme, '\n')) {
    if (line.starts_with("## ")) inside = line.find("Differences from Istio") != std::string_view::npos;
    const size_t bold = line.find(". **");
    if (!inside || bold == std::string_view::npos || bold > 2) continue;
    names.emplace(line.substr(bold + 4, line.find("**", bold + 4) - bold - 4));
  }
  return names;
}

}  // namespace

TEST_CASE("the differences that are listed are those there are") {
  const World world;
  std::set<std::string> shown;
  for (const auto& [name, show] : kShown) {
    INFO(name);
    shown.insert(name);
    show(world);
  }
  CHECK(listed() == shown);
}
