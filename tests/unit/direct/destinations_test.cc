// The table of destinations that a connect-time program can look up, against match().
#include <array>
#include <catch2/catch.hpp>
#include <random>

#include "../config/compiler/random_mesh.h"
#include "../model/chains.h"
#include "agreement.h"
#include "test_support/sanitized.h"

using namespace sockmesh;
using namespace sockmesh::direct;
using model::NotDirect;

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
    auto rest = model::listener(model::kVirtualOutbound, {"0.0.0.0:15009"}, {});
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
  std::optional<NotDirect> why_not(const std::string& to) {
    snapshot.index();
    const Answer* found = destinations(snapshot, {}).find(SocketAddress::parse(to).value());
    REQUIRE(found != nullptr);
    return found->why_not;
  }
};

// What the pod's rules leave alone and take, among the addresses and ports of the meshes.
model::DirectTerms random_terms(std::mt19937_64& random) {
  const auto sometimes = [&] { return random() % 3 == 0; };
  const auto port = [&] { return static_cast<uint16_t>(sometimes() ? 1 : 9000 + random() % 4); };
  const auto block = [&] {
    static const std::array blocks = {"10.96.0.0/29", "10.50.0.0/16", "0.0.0.0/0",
                                      "192.0.2.0/24", "::/0",         "fd00::/8"};
    return Prefix::parse(blocks[random() % blocks.size()]).value();
  };
  model::DirectTerms terms;
  if (sometimes()) terms.capture_ports = {15001, 15006};
  if (sometimes()) terms.excluded_ports.push_back(port());
  if (sometimes()) terms.included_ports.push_back(port());
  if (sometimes()) terms.excluded_ranges.push_back(block());
  if (sometimes()) terms.included_ranges.push_back(block());
  return terms;
}

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
      const Agreement one = check_agreement(*snapshot, random_terms(random));
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
  CHECK(world.why_not("10.1.0.7:9000") == std::nullopt);
  CHECK(world.why_not("192.0.2.1:80") == std::nullopt);  // to BlackHoleCluster, at once
  CHECK(world.why_not("192.0.2.1:15001") == NotDirect::kUnlogged);
  CHECK(world.why_not("192.0.2.1:15009") == NotDirect::kCapturePort);
}

TEST_CASE("connections to the pod itself are not direct") {
  World world;
  for (const char* to : {"10.0.0.9:80", "[fd00::9]:80"}) CHECK(world.why_not(to) == NotDirect::kOwnAddress);
  for (const char* to : {"127.0.0.1:80", "[::1]:80"}) CHECK(world.why_not(to) == NotDirect::kLoopback);
  CHECK(world.why_not("10.0.0.8:80") == std::nullopt);
}

TEST_CASE("a block that is covered by smaller ones has no entry of its own") {
  World world;
  world.add(cluster("half"));
  world.add("0.0.0.0_9000", "0.0.0.0:9000", {model::to("half", model::in({"0.0.0.0/1", "128.0.0.0/1"}))});
  world.snapshot.index();
  for (const auto& block : destinations(world.snapshot, {}).blocks)
    CHECK_FALSE((block.port == 9000 && block.prefix == Prefix::parse("0.0.0.0/0").value()));
}
