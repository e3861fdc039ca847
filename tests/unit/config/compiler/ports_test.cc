// The proxy's own ports are those that it was given.
#include <catch2/catch.hpp>

#include "config/compiler/compiler.h"
#include "config/manifest/reader.h"
#include "model/match.h"
#include "model/names.h"

using namespace sockmesh;
using namespace sockmesh::config;

namespace {

// A Service without an address, on one port: a wildcard listener takes the port, unless the proxy has it.
model::SnapshotPtr mesh_with_wildcard(uint16_t port, const model::Ports& ports) {
  Resources resources;
  std::vector<ReadProblem> problems;
  const std::string manifest = fmt::format(
      "{{apiVersion: v1, kind: Service, metadata: {{name: db, namespace: data}}, spec: {{clusterIP: None, "
      "selector: {{app: db}}, ports: [{{name: tcp-db, port: {0}}}]}}}}\n---\n"
      "{{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {{name: out, namespace: data}}, "
      "spec: {{hosts: [out.example], resolution: DNS, ports: [{{number: {0}, name: tcp, protocol: "
      "TCP}}]}}}}\n",
      port);
  REQUIRE(read_manifest(manifest, "mesh.yaml", resources, problems));
  REQUIRE(problems.empty());
  ProxyIdentity proxy;
  proxy.pod = "client";
  proxy.ns = "data";
  proxy.ips = {IpAddress::parse("10.1.0.9").value()};
  proxy.ports = ports;
  return compile(resources, proxy);
}

std::string cluster_at(const model::SnapshotPtr& snapshot, model::Direction direction, uint16_t port) {
  model::ConnectionInfo info;
  info.direction = direction;
  info.destination = {IpAddress::parse("192.0.2.1").value(), port};
  const model::Decision decision = model::match(*snapshot, info);
  REQUIRE(decision.chain);
  return decision.chain->route.clusters.at(0).cluster.str();
}

}  // namespace

TEST_CASE("a connection to a capture port of the proxy's own ends, whatever its number") {
  model::Ports ports;
  ports.outbound = 25001;
  ports.inbound = 25006;
  const auto snapshot = mesh_with_wildcard(9000, ports);
  CHECK(cluster_at(snapshot, model::Direction::kOutbound, 25001) == model::kBlackHoleCluster);
  CHECK(cluster_at(snapshot, model::Direction::kOutbound, 15001) == model::kPassthroughCluster);
  CHECK(cluster_at(snapshot, model::Direction::kInbound, 25006) == model::kBlackHoleCluster);
  CHECK(cluster_at(snapshot, model::Direction::kInbound, 15006) == model::kInboundPassthroughCluster);
}

TEST_CASE("a wildcard listener does not take a port that the proxy has, and takes one that it has left") {
  model::Ports moved;
  moved.outbound = 25001;
  moved.inbound = 25006;
  moved.readiness = 25021;
  moved.metrics = 25090;
  for (const uint16_t of_istio : {15001, 15006, 15021, 15090}) {
    const uint16_t now = of_istio + 10000;
    const auto taken = [](uint16_t port, const model::Ports& ports) {
      const auto cluster = cluster_at(mesh_with_wildcard(port, ports), model::Direction::kOutbound, port);
      return cluster == fmt::format("outbound|{}||out.example", port);
    };
    CAPTURE(of_istio);
    CHECK_FALSE(taken(of_istio, {}));
    CHECK(taken(now, {}));
    CHECK(taken(of_istio, moved));
    CHECK_FALSE(taken(now, moved));
  }
}
