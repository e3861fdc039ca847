// The table of destinations that a connect-time program can look up, against match().
#include <catch2/catch.hpp>
#include <chrono>
#include <random>

#include "../config/compiler/random_mesh.h"
#include "../model/chains.h"
#include "agreement.h"
#include "test_support/sanitized.h"

using namespace sockmesh;
using namespace sockmesh::direct;
using model::NeedsAgent;

namespace {

model::Cluster cluster(const std::string& name) {
  model::Cluster made;
  made.name = name;
  made.type = model::ClusterType::kStatic;
  return made;
}

struct World {
  model::Snapshot snapshot;

  World() {
    add(cluster(model::kPassthroughCluster));
    add(cluster(model::kBlackHoleCluster));
    auto rest = model::listener(model::kVirtualOutbound, {"0.0.0.0:15001"}, {});
    model::FilterChain loop = model::to(model::kBlackHoleCluster);
    loop.match.destination_port = 15001;
    loop.log = false;
    rest->chains = {loop, model::to(model::kPassthroughCluster)};
    snapshot.listeners.push_back(rest);
    snapshot.self_ips = {IpAddress::parse("10.0.0.9").value(), IpAddress::parse("fd00::9").value()};
  }
  void add(model::Cluster made) {
    const Text name = made.name;
    snapshot.clusters[name] = std::make_shared<const model::Cluster>(std::move(made));
  }
  void add(const std::string& name, const std::string& address, std::vector<model::FilterChain> chains) {
    snapshot.listeners.push_back(model::listener(name, {address}, std::move(chains)));
  }
  NeedsAgent need(const std::string& to) {
    snapshot.index();
    const Answer* found = destinations(snapshot).find(SocketAddress::parse(to).value());
    return found != nullptr ? found->need : NeedsAgent::kAnswer;
  }
};

}  // namespace

TEST_CASE("a table of destinations answers as match does, in any mesh") {
  std::mt19937_64 random(10);
  Agreement all;
  for (int round = 0; round < (test::sanitized() ? 500 : 5000); ++round) {
    const config::Resources mesh = config::random_mesh(random);
    for (const config::ProxyIdentity& who : config::random_proxies()) {
      if (who.role != config::Role::kSidecar) continue;
      const auto snapshot = config::compile(mesh, who);
      INFO("round " << round);
      const Agreement one = check_agreement(*snapshot);
      all.asked += one.asked;
      all.direct += one.direct;
    }
  }
  // It is no agreement on nothing.
  CHECK(all.asked > 100'000);
  CHECK(all.direct > all.asked / 20);
}

TEST_CASE("blocks within blocks, exceptions and holes are told apart as match tells them") {
  World world;
  for (const char* name : {"wide", "narrow", "host", "six"}) world.add(cluster(name));
  world.add("0.0.0.0_9000", "0.0.0.0:9000",
            {model::to("wide", model::in({"10.0.0.0/8", "0.0.0.0/1"})),
             model::to("narrow", model::in({"10.1.0.0/16", "128.0.0.0/1"})),
             model::to("host", model::in({"10.1.0.7"})), model::to("sni", model::sni({"a.example.com"}))});
  world.add("[::]_9000", "[::]:9000", {model::to("six", model::in({"fd00::/8", "::/1", "8000::/1"}))});
  world.add("10.96.0.1_9000", "10.96.0.1:9000", {model::to("host")});
  world.snapshot.egress.block = {Prefix::parse("192.0.2.0/24").value(),
                                 Prefix::parse("2001:db8::/32").value()};
  world.snapshot.egress.permit = {Prefix::parse("192.0.2.128/25").value()};
  world.snapshot.index();
  const Agreement agreement = check_agreement(world.snapshot);
  CHECK(agreement.direct > 0);
  CHECK(agreement.direct < agreement.asked);
  CHECK(world.need("10.1.0.7:9000") == NeedsAgent::kNothing);
  CHECK(world.need("192.0.2.1:80") == NeedsAgent::kNothing);  // to BlackHoleCluster, at once
  CHECK(world.need("192.0.2.1:15001") == NeedsAgent::kSilence);
}

TEST_CASE("what the agent is needed for keeps a connection from being direct") {
  World world;
  const auto with = [&](auto change) {
    model::Cluster made = cluster("db");
    made.endpoints.push_back({SocketAddress::parse("10.0.1.1:9000").value()});
    model::FilterChain chain = model::to("db");
    change(made, chain);
    world.snapshot.listeners.resize(1);
    world.add(std::move(made));
    world.add("10.96.0.1_9000", "10.96.0.1:9000", {chain});
    return world.need("10.96.0.1:9000");
  };
  using model::Cluster;
  using model::FilterChain;
  CHECK(with([](Cluster&, FilterChain&) {}) == NeedsAgent::kNothing);
  CHECK(with([](Cluster&, FilterChain& chain) { chain.match.server_names = {"a.example.com"}; }) ==
        NeedsAgent::kFirstBytes);
  CHECK(with([](Cluster&, FilterChain& chain) { chain.log = false; }) == NeedsAgent::kSilence);
  CHECK(with([](Cluster& db, FilterChain&) { db.proxy_protocol = model::ProxyProtocol::kV2; }) ==
        NeedsAgent::kProxyProtocol);
  CHECK(with([](Cluster&, FilterChain& chain) {
          chain.route.idle_timeout = Duration(std::chrono::seconds(5));
        }) == NeedsAgent::kTimeLimit);
  CHECK(with([](Cluster&, FilterChain& chain) { chain.route.idle_timeout = Duration::zero(); }) ==
        NeedsAgent::kNothing);
  CHECK(with([](Cluster&, FilterChain& chain) {
          chain.route.max_connection_duration = Duration(std::chrono::seconds(5));
        }) == NeedsAgent::kTimeLimit);
  CHECK(with([](Cluster&, FilterChain& chain) {
          chain.route.clusters = {{"db", 1}, {"nobody", 1}};
        }) == NeedsAgent::kCluster);
  CHECK(with([](Cluster& db, FilterChain&) { db.keepalive = model::Keepalive{}; }) ==
        NeedsAgent::kSocketOptions);
  CHECK(with([](Cluster& db, FilterChain&) { db.endpoints.push_back({model::UnixPath{"/run/db"}}); }) ==
        NeedsAgent::kUnixSocket);
  CHECK(with([](Cluster& db, FilterChain&) {
          db.endpoints.push_back({SocketAddress::parse("10.0.0.9:9000").value()});
        }) == NeedsAgent::kOwnPod);
}

TEST_CASE("connections to the pod itself are not direct") {
  World world;
  for (const char* to : {"10.0.0.9:80", "[fd00::9]:80", "127.0.0.1:80", "[::1]:80", "169.254.0.1:80"})
    CHECK(world.need(to) == NeedsAgent::kOwnPod);
  CHECK(world.need("10.0.0.8:80") == NeedsAgent::kNothing);
}

TEST_CASE("a block that is covered by smaller ones has no entry of its own") {
  World world;
  world.add(cluster("half"));
  world.add("0.0.0.0_9000", "0.0.0.0:9000", {model::to("half", model::in({"0.0.0.0/1", "128.0.0.0/1"}))});
  world.snapshot.index();
  for (const auto& block : destinations(world.snapshot).blocks)
    CHECK_FALSE((block.port == 9000 && block.prefix == Prefix::parse("0.0.0.0/0").value()));
}
