// One mesh for several proxies: what their snapshots share, and whom a change reaches.
#include <catch2/catch.hpp>

#include "config/compiler/compiler.h"
#include "config/manifest/reader.h"

using namespace sockmesh;
using namespace sockmesh::config;

namespace {

// Service "quiet" is for its own namespace alone, "open" for all.
constexpr char kMesh[] = R"(
apiVersion: v1
kind: Service
metadata: {name: quiet, namespace: far, annotations: {networking.istio.io/exportTo: .}}
spec: {clusterIP: 10.96.0.1, ports: [{name: tcp, port: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: open, namespace: far}
spec: {clusterIP: 10.96.0.2, ports: [{name: tcp, port: 9000}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: near}
status: {podIP: 10.244.0.1, phase: Running}
)";

std::shared_ptr<const EndpointSet> slice(const std::string& service, const std::string& address) {
  Resources read;
  read_manifest(
      fmt::format("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
                  "metadata: {{name: {0}, namespace: far, labels: {{kubernetes.io/service-name: {0}}}}}\n"
                  "addressType: IPv4\nports: [{{name: tcp, port: 9000}}]\n"
                  "endpoints: [{{addresses: [{1}]}}]\n",
                  service, address),
      "mesh.yaml", read);
  return read.endpoints.at(0);
}

class TwoProxies {
 public:
  TwoProxies() {
    read_manifest(kMesh, "mesh.yaml", resources);
    resources.endpoints = {slice("quiet", "10.244.9.1"), slice("open", "10.244.9.2")};
  }

  std::vector<model::SnapshotPtr> compile() { return compiler_.compile(resources); }

  Resources resources;

 private:
  static ProxyIdentity of(const char* ns) {
    ProxyIdentity proxy;
    proxy.pod = "client";
    proxy.ns = ns;
    return proxy;
  }

  Compiler compiler_{{of("near"), of("far")}};
};

}  // namespace

TEST_CASE("proxies of one mesh share what is of the mesh") {
  TwoProxies world;
  const auto first = world.compile();
  REQUIRE(first.size() == 2);
  CHECK(first[0]->workloads->size() == 1);
  CHECK(first[0]->workloads == first[1]->workloads);

  world.resources.pods.clear();
  const auto second = world.compile();
  CHECK(second[0]->workloads->empty());
  CHECK(second[0]->workloads == second[1]->workloads);
}

TEST_CASE("a change makes a new snapshot for those proxies that have to do with it") {
  TwoProxies world;
  const auto first = world.compile();
  CHECK(world.compile() == first);

  world.resources.endpoints[0] = slice("quiet", "10.244.9.3");
  const auto second = world.compile();
  CHECK(second[0] == first[0]);
  CHECK(second[1] != first[1]);
  CHECK(second[1]->generation == 2);

  world.resources.endpoints[1] = slice("open", "10.244.9.4");
  const auto third = world.compile();
  CHECK(third[0]->generation == 2);
  CHECK(third[0]->version != first[0]->version);
  CHECK(third[1]->generation == 3);
}

TEST_CASE("an endpoint of a hidden service that is the proxy's own is not out of its sight") {
  TwoProxies world;
  const auto first = world.compile();
  world.resources.endpoints[0] = slice("quiet", "10.244.0.1");
  const auto second = world.compile();
  CHECK(second[0]->generation == 2);
  CHECK(second[0]->version != first[0]->version);
}
