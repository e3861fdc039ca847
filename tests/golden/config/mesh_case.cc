#include "mesh_case.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "../golden.h"
#include "base/strings.h"
#include "config/manifest/reader.h"

namespace sockmesh::config {

namespace {

constexpr char kNodes[] = R"(
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {topology.kubernetes.io/region: r1, topology.kubernetes.io/zone: z1}}
---
apiVersion: v1
kind: Node
metadata: {name: n2, labels: {topology.kubernetes.io/region: r1, topology.kubernetes.io/zone: z2}}
---
apiVersion: v1
kind: Node
metadata: {name: n3, labels: {topology.kubernetes.io/region: r2, topology.kubernetes.io/zone: z3}}
)";

void read_into(const std::string& text, const std::string& file, Resources& resources) {
  std::vector<ReadProblem> problems;
  REQUIRE(read_manifest(text, file, resources, problems));
  for (const ReadProblem& problem : problems) FAIL_CHECK(problem.to_string());
}

std::string mesh_manifest(std::string_view mesh) {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: "
         "|\n    " +
         std::string(mesh) + "\n";
}

}  // namespace

std::string node_manifests() { return kNodes; }

Probe parse_probe(const std::string& text, const IpAddress& pod) {
  Probe probe;
  probe.text = text;
  auto words = split(text, ' ', true);
  REQUIRE_FALSE(words.empty());
  if (words[0] == "in") {
    probe.inbound = true;
    words.erase(words.begin());
    REQUIRE_FALSE(words.empty());
    probe.address = {pod, parse_number<uint16_t>(words[0]).value()};
  } else {
    probe.address = SocketAddress::parse(words[0]).value();
  }
  for (size_t i = 1; i < words.size(); ++i) {
    if (words[i] == "times") {
      probe.times = parse_number<int>(words.at(++i)).value();
    } else if (words[i] == "hold") {
      probe.hold = true;
    } else if (words[i] == "tls") {
      const auto name = words.at(++i);
      probe.hello = model::TlsHello{true, name == "-" ? "" : to_lower(name), {}};
    } else if (words[i] == "send") {
      probe.hello = model::TlsHello{};
      probe.http_bytes = i + 1 < words.size() && words[i + 1] == "GET";
      break;
    }
  }
  return probe;
}

MeshCase read_case(const std::string& path) {
  MeshCase mesh;
  const std::string text = read_text(path);
  const size_t slash = path.rfind('/');
  mesh.name = path.substr(slash + 1, path.rfind('.') - slash - 1);
  read_into(kNodes, "nodes.yaml", mesh.resources);
  read_into(text, mesh.name + ".yaml", mesh.resources);
  std::vector<std::string> probes;
  for (std::string_view line : split(text, '\n')) {
    const auto value = [&](std::string_view key) -> std::optional<std::string> {
      if (!line.starts_with(key)) return std::nullopt;
      return std::string(trim(line.substr(key.size())));
    };
    if (const auto pod = value("# pod:")) {
      const size_t blank = pod->find(' ');
      const std::string full = pod->substr(0, blank);
      const size_t dot = full.find('.');
      mesh.proxy.pod = full.substr(0, dot);
      mesh.proxy.ns = full.substr(dot + 1);
      const std::string addresses = blank == std::string::npos ? "" : pod->substr(blank + 1);
      for (const auto ip : split(addresses, ' ', true))
        mesh.proxy.ips.push_back(IpAddress::parse(ip).value());
    } else if (const auto type = value("# type:")) {
      if (*type == "router") mesh.proxy.role = Role::kGateway;
    } else if (const auto settings = value("# mesh:")) {
      read_into(mesh_manifest(*settings), "mesh.yaml", mesh.resources);
    } else if (const auto refusing = value("# refuse:")) {
      for (const auto ip : split(*refusing, ' ', true)) mesh.refusing.insert(IpAddress::parse(ip).value());
    } else if (const auto out = value("# probe:")) {
      probes.push_back(*out);
    } else if (const auto in = value("# in:")) {
      probes.push_back("in " + *in);
    }
  }
  for (const std::string& probe : probes)
    mesh.probes.push_back(parse_probe(probe, mesh.proxy.ips.empty() ? IpAddress{} : mesh.proxy.ips.front()));
  return mesh;
}

void shuffle(Resources& resources, uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto mix = [&](auto&... lists) { (std::shuffle(lists.begin(), lists.end(), random), ...); };
  mix(resources.services, resources.pods, resources.endpoints, resources.nodes, resources.namespaces,
      resources.workload_entries, resources.service_entries, resources.virtual_services,
      resources.destination_rules, resources.gateways, resources.sidecars, resources.k8s_gateways,
      resources.k8s_routes, resources.reference_grants);
}

}  // namespace sockmesh::config
