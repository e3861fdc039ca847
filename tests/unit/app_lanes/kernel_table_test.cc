// Decisions as the kernel's half takes them; that these mean the same there is proved by
// tests/kernel/app_lanes and, of the decisions themselves, by tests/unit/direct.
#include "app_lanes/kernel_table.h"

#include <catch2/catch.hpp>

#include "../direct/pod.h"

using namespace sockmesh;
using namespace sockmesh::direct;
using app_lanes::kernel_change;
using app_lanes::kernel_table;
using model::LbPolicy;

namespace {

struct Service : TestPod {
  Service() {
    listen("10.96.0.1_80", {"10.96.0.1:80"}, {model::to("c")});
    cluster("c", {"10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80"});
  }
};

const bpf::DirectCluster& cluster_of(const bpf::DirectTable& table, const char* to) {
  const auto& verdict = table.destinations.at(direct::addr(to));
  REQUIRE(verdict.kind == DIRECT_ROUTE);
  return table.clusters.at(table.routes.at(verdict.route).choices.at(0).cluster);
}

}  // namespace

TEST_CASE("a service is a destination, a route, a cluster and its hosts with their counts") {
  Service pod;
  const auto table = kernel_table(pod.make(), 0);
  const auto& cluster = cluster_of(table, "10.96.0.1:80");
  CHECK(cluster.balancing == DIRECT_LEAST_REQUEST);
  REQUIRE(cluster.hosts.size() == 3);
  CHECK(cluster.hosts[0].address == direct::addr("10.1.0.1:80"));
  CHECK(cluster.hosts[0].live != cluster.hosts[1].live);
  CHECK(cluster.live != cluster.hosts[0].live);
  CHECK_FALSE(cluster.max_connections);
}

TEST_CASE("weights of a route are told each for itself") {
  Service pod;
  pod.cluster("d", {"10.1.0.4:80"});
  pod.snapshot->listeners.back() = model::listener("10.96.0.1_80", {"10.96.0.1:80"}, {model::to("c")});
  auto made = std::make_shared<model::Listener>(*pod.snapshot->listeners.back());
  made->chains[0].route.clusters = {{"c", 80}, {"d", 20}};
  pod.snapshot->listeners.back() = made;
  const auto table = kernel_table(pod.make(), 0);
  const auto& route = table.routes.at(table.destinations.at(direct::addr("10.96.0.1:80")).route);
  REQUIRE(route.choices.size() == 2);
  CHECK(route.choices[0].weight == 80);
  CHECK(route.choices[1].weight == 20);
}

TEST_CASE("a bound that the kernel cannot count to is none") {
  Service pod;
  pod.cluster("c", {"10.1.0.1:80"}).max_connections = 4294967295;
  CHECK_FALSE(cluster_of(kernel_table(pod.make(), 0), "10.96.0.1:80").max_connections);
  pod.next();
  pod.cluster("c", {"10.1.0.1:80"}).max_connections = 5;
  CHECK(cluster_of(kernel_table(pod.make(), 0), "10.96.0.1:80").max_connections == 5);
}

TEST_CASE("a route that becomes the agent's is left out, and what leads to it stays") {
  Service pod;
  const Tables before = pod.make();
  pod.next();
  auto c = std::make_shared<model::Cluster>(*pod.snapshot->clusters.at("c"));
  c->proxy_protocol = model::ProxyProtocol::kV1;
  pod.snapshot->clusters.insert_or_assign("c", c);
  const Tables after = pod.make();
  const auto change = kernel_change(delta(before, after), 0);
  CHECK(change.destinations.empty());
  REQUIRE(change.routes.size() == 1);
  CHECK_FALSE(change.routes.begin()->second);
}

TEST_CASE("change after change leads to the table made at once") {
  Service pod;
  bpf::DirectTable have;
  Tables before;
  const auto apply = [&](const auto& change, auto& table) {
    for (const auto& [key, value] : change) {
      if (value) {
        table.insert_or_assign(key, *value);
      } else {
        table.erase(key);
      }
    }
  };
  for (int i = 0; i < 20; ++i) {
    pod.next();
    const std::string name = "c" + std::to_string(i % 7);
    pod.cluster(name, {"10.1.0." + std::to_string(i + 1) + ":80"}).lb =
        i % 2 == 0 ? LbPolicy::kRoundRobin : LbPolicy::kRandom;
    pod.listen("10.96.1." + std::to_string(i) + "_80", {"10.96.1." + std::to_string(i) + ":80"},
               {model::to(name)});
    if (i % 3 == 2) pod.snapshot->listeners.erase(pod.snapshot->listeners.begin() + 1);
    const Tables after = pod.make();
    const auto change = kernel_change(delta(before, after), 5);
    apply(change.destinations, have.destinations);
    apply(change.prefixes, have.prefixes);
    apply(change.routes, have.routes);
    apply(change.clusters, have.clusters);
    REQUIRE(have == kernel_table(after, 5));
    before = after;
  }
}
