// What holds for every mesh: the order of reading does not show, and nothing that is hidden from the pod ever
// takes a connection of it.
#include <algorithm>
#include <catch2/catch.hpp>

#include "config/registry/registry.h"
#include "config/resources/hostnames.h"
#include "model/match.h"
#include "random_mesh.h"

using namespace sockmesh;
using namespace sockmesh::config;

namespace {

// Whether some definition of the host is exported to the namespace.
bool visible(const Resources& mesh, const std::string& host, const std::string& ns) {
  const MeshConfig defaults;
  for (const auto& service : mesh.services)
    if (const auto def = define(service, defaults);
        def->host == host && exported_to(def->export_to, def->ns, ns))
      return true;
  for (const auto& entry : mesh.service_entries)
    for (const auto& def : define(entry, defaults))
      if (def->host == host && exported_to(def->export_to, def->ns, ns)) return true;
  return false;
}

bool route_visible(const Resources& mesh, const model::Origin& origin, const std::string& ns) {
  if (origin.kind != "VirtualService") return true;
  return std::any_of(mesh.virtual_services.begin(), mesh.virtual_services.end(), [&](const auto& route) {
    return route->meta.name == origin.name && route->meta.ns == origin.ns &&
           (route->export_to.empty() || exported_to(route->export_to, route->meta.ns, ns));
  });
}

std::vector<SocketAddress> addresses_of(const Resources& mesh) {
  std::vector<IpAddress> ips = {IpAddress::parse("10.50.0.1").value(), IpAddress::parse("10.50.1.1").value(),
                                IpAddress::parse("192.0.2.1").value(), IpAddress::parse("8.8.8.8").value()};
  for (uint32_t i = 0; i < 8; ++i) ips.push_back(IpAddress::v4(0x0a600000 + i));
  for (const auto& pod : mesh.pods) ips.push_back(pod->ips.front());
  std::vector<SocketAddress> addresses;
  for (const IpAddress& ip : ips)
    for (uint16_t port = 9000; port < 9003; ++port) addresses.push_back({ip, port});
  return addresses;
}

// What the version does not hash: who lost and why, what was found, who is where.
std::vector<std::string> rest_of(const model::Snapshot& snapshot) {
  std::vector<std::string> rest;
  for (const auto& listener : snapshot.listeners) {
    rest.push_back("listener " + listener->name + " " + listener->protocol + " " +
                   listener->origin->to_string());
    for (const model::Loser& loser : listener->losers)
      rest.push_back(loser.object->to_string() + ", " + loser.what + ", " + loser.reason);
  }
  for (const model::Finding& finding : snapshot.findings) rest.push_back(finding.code + " " + finding.text);
  std::vector<std::string> unordered;
  for (const auto& [name, cluster] : snapshot.clusters)
    unordered.push_back(name + " " + cluster->origin->to_string() + " " +
                        (cluster->destination_rule ? cluster->destination_rule->to_string() : ""));
  for (const auto& [ip, workload] : *snapshot.workloads)
    unordered.push_back(ip.to_string() + " " + workload->ns + "/" + workload->name);
  std::sort(unordered.begin(), unordered.end());
  rest.insert(rest.end(), unordered.begin(), unordered.end());
  return rest;
}

void require_equal(const model::SnapshotPtr& made, const model::SnapshotPtr& wanted) {
  REQUIRE(made->version == wanted->version);
  REQUIRE(rest_of(*made) == rest_of(*wanted));
  REQUIRE(made->by_address.size() == wanted->by_address.size());
}

}  // namespace

TEST_CASE("equal resources in any order are one version") {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    Resources mesh = random_mesh(random);
    const auto first = compile(mesh, random_client());
    std::shuffle(mesh.services.begin(), mesh.services.end(), random);
    std::shuffle(mesh.pods.begin(), mesh.pods.end(), random);
    std::shuffle(mesh.endpoints.begin(), mesh.endpoints.end(), random);
    std::shuffle(mesh.service_entries.begin(), mesh.service_entries.end(), random);
    std::shuffle(mesh.virtual_services.begin(), mesh.virtual_services.end(), random);
    std::shuffle(mesh.destination_rules.begin(), mesh.destination_rules.end(), random);
    const auto second = compile(mesh, random_client());
    REQUIRE(first->version == second->version);
    REQUIRE(rest_of(*first) == rest_of(*second));
  }
}

TEST_CASE("no connection is taken by what the pod cannot see") {
  std::mt19937_64 random(2);
  for (int round = 0; round < 300; ++round) {
    const Resources mesh = random_mesh(random);
    const auto snapshot = compile(mesh, random_client());
    for (const auto& [name, cluster] : snapshot->clusters)
      if (cluster->direction == model::Direction::kOutbound && !cluster->service_host.empty())
        REQUIRE(visible(mesh, cluster->service_host, "n0"));
    for (const SocketAddress& address : addresses_of(mesh)) {
      model::ConnectionInfo connection;
      connection.destination = address;
      connection.hello = model::TlsHello{true, "s.com", {}};
      const model::Decision decision = match(*snapshot, connection);
      REQUIRE(decision.chain);
      INFO(address.to_string() << " on " << decision.listener->name << ", " << decision.chain->name);
      REQUIRE(route_visible(mesh, *decision.chain->origin, "n0"));
      for (const auto& part : decision.chain->route.clusters)
        if (const model::Cluster* cluster = snapshot->find_cluster(part.cluster);
            cluster && !cluster->service_host.empty())
          REQUIRE(visible(mesh, cluster->service_host, "n0"));
    }
  }
}

TEST_CASE("compiling change by change equals compiling everything") {
  std::mt19937_64 random(3);
  for (int round = 0; round < 200; ++round) {
    Resources mesh = random_mesh(random);
    Compiler compiler({random_client()});
    compiler.compile(mesh);
    for (int step = 0; step < 25; ++step) {
      INFO("round " << round << ", step " << step);
      change_one(mesh, random);
      const auto step_by_step = compiler.compile(mesh).front();
      require_equal(step_by_step, compile(mesh, random_client()));
      REQUIRE(compiler.compile(mesh).front() == step_by_step);
    }
  }
}

TEST_CASE("each of several proxies gets what it would get alone, whatever changes") {
  std::mt19937_64 random(5);
  const std::vector<ProxyIdentity> proxies = random_proxies();
  size_t same = 0;  // snapshots that stayed while others did not
  for (int round = 0; round < 100; ++round) {
    Resources mesh = random_mesh(random);
    Compiler compiler(proxies);
    std::vector<model::SnapshotPtr> last = compiler.compile(mesh);
    for (int step = 0; step < 25; ++step) {
      INFO("round " << round << ", step " << step);
      for (size_t n = 1 + random() % 2; n > 0; --n) change_one(mesh, random);
      const auto keep = random() % 20 == 0 ? Compiler::Keep::kNothing : Compiler::Keep::kResources;
      std::vector<bool> left_out(proxies.size());
      if (random() % 10 == 0) left_out[random() % proxies.size()] = true;
      const auto made = compiler.compile(mesh, keep, left_out);
      REQUIRE(made.size() == proxies.size());
      size_t anew = 0, kept = 0;
      for (size_t i = 0; i < proxies.size(); ++i) {
        INFO("proxy " << i);
        REQUIRE((made[i] == nullptr) == left_out[i]);
        if (left_out[i]) continue;
        require_equal(made[i], compile(mesh, proxies[i]));
        REQUIRE(made[i]->generation == last[i]->generation + (made[i] == last[i] ? 0 : 1));
        ++(made[i] == last[i] ? kept : anew);
        last[i] = made[i];
      }
      if (anew > 0) same += kept;
    }
  }
  CHECK(same > 100);
}

TEST_CASE("a pod's readiness changes its clusters and nothing else") {
  std::mt19937_64 random(4);
  for (int round = 0; round < 60; ++round) {
    Resources mesh = random_mesh(random);
    Compiler compiler({random_client()});
    const auto before = compiler.compile(mesh).front();
    const size_t at = 1 + random() % (mesh.pods.size() - 1);
    auto pod = std::make_shared<Pod>(*mesh.pods[at]);
    pod->ready = !pod->ready.value_or(true);
    mesh.pods[at] = pod;
    const auto after = compiler.compile(mesh).front();
    REQUIRE(after->version == compile(mesh, random_client())->version);
    REQUIRE(after->workloads->size() == before->workloads->size());
  }
}
