#include "upstream/balancer.h"

#include <catch2/catch.hpp>
#include <map>

using namespace sockmesh;
using namespace sockmesh::upstream;
using namespace std::chrono_literals;

namespace {

const MonotonicTime kNow = MonotonicTime(10h);

struct Fixture {
  Fixture() { cluster->lb = model::LbPolicy::kRoundRobin; }
  Fixture& endpoint(const char* address, uint16_t priority = 0,
                    model::Health health = model::Health::kHealthy, const char* zone = nullptr) {
    model::Endpoint endpoint;
    endpoint.address = SocketAddress::parse(address).value();
    endpoint.priority = priority;
    endpoint.health = health;
    if (zone) endpoint.locality = std::make_shared<model::Locality>(model::Locality{"r1", zone, ""});
    cluster->endpoints.push_back(std::move(endpoint));
    return *this;
  }
  Balancer& balancer() {
    if (!made) made = std::make_unique<Balancer>(cluster, state, names, 1);
    return *made;
  }
  // "10.0.0.1:80", or "nobody", or "pending".
  std::string pick(MonotonicTime now = kNow, const std::vector<const char*>& tried = {}) {
    std::vector<model::EndpointAddress> avoid;
    for (const char* address : tried) avoid.emplace_back(SocketAddress::parse(address).value());
    const auto picked = balancer().pick({now, {}}, avoid);
    if (const auto* nobody = std::get_if<Balancer::Nobody>(&picked))
      return *nobody == Balancer::Nobody::kNamesPending ? "pending" : "nobody";
    return model::to_string(std::get<Host>(picked).address);
  }
  std::map<std::string, int> picks(int count, MonotonicTime now = kNow) {
    std::map<std::string, int> out;
    for (int i = 0; i < count; ++i) ++out[pick(now)];
    return out;
  }
  void eject(const char* address, MonotonicTime until) {
    state->host(address, kNow)->ejected_until = until.time_since_epoch().count();
    state->health_changed();
  }

  std::shared_ptr<model::Cluster> cluster = std::make_shared<model::Cluster>();
  ClusterStatePtr state = std::make_shared<ClusterState>();
  NameCache names;
  std::unique_ptr<Balancer> made;
};

}  // namespace

TEST_CASE("a cluster without endpoints has nobody") {
  Fixture fixture;
  CHECK(fixture.pick() == "nobody");
}

TEST_CASE("unhealthy and draining endpoints, and those of weight 0, are not chosen") {
  Fixture fixture;
  fixture.endpoint("10.0.0.1:80", 0, model::Health::kUnhealthy)
      .endpoint("10.0.0.2:80", 0, model::Health::kDraining)
      .endpoint("10.0.0.3:80")
      .endpoint("10.0.0.4:80");
  fixture.cluster->endpoints.back().weight = 0;
  CHECK(fixture.picks(100) == std::map<std::string, int>{{"10.0.0.3:80", 100}});
}

TEST_CASE("all unready: nobody, unless the panic threshold says otherwise") {
  Fixture fixture;
  fixture.endpoint("10.0.0.1:80", 0, model::Health::kUnhealthy);
  CHECK(fixture.pick() == "nobody");
  fixture.made.reset();
  fixture.cluster->panic_threshold_percent = 50;
  CHECK(fixture.pick() == "10.0.0.1:80");
}

TEST_CASE("an ejected host comes back when its time is over") {
  Fixture fixture;
  fixture.endpoint("10.0.0.1:80").endpoint("10.0.0.2:80");
  CHECK(fixture.picks(100).size() == 2);
  fixture.eject("10.0.0.1:80", kNow + 30s);
  CHECK(fixture.picks(100) == std::map<std::string, int>{{"10.0.0.2:80", 100}});
  CHECK(fixture.picks(100, kNow + 31s).size() == 2);
}

TEST_CASE("the second priority serves when the first cannot") {
  Fixture fixture;
  fixture.endpoint("10.0.0.1:80").endpoint("10.0.1.1:80", 1);
  CHECK(fixture.picks(50).size() == 1);
  fixture.eject("10.0.0.1:80", kNow + 30s);
  CHECK(fixture.pick() == "10.0.1.1:80");
}

TEST_CASE("half of a level ejected sends 30 percent on") {
  Fixture fixture;
  fixture.endpoint("10.0.0.1:80").endpoint("10.0.0.2:80").endpoint("10.0.1.1:80", 1);
  fixture.eject("10.0.0.2:80", kNow + 1h);
  const auto picks = fixture.picks(10000);
  CHECK(picks.at("10.0.0.1:80") == Approx(7000).margin(250));
  CHECK(picks.at("10.0.1.1:80") == Approx(3000).margin(250));
}

TEST_CASE("distribute shares by locality") {
  Fixture fixture;
  const auto healthy = model::Health::kHealthy;
  fixture.endpoint("10.0.1.1:80", 0, healthy, "z1")
      .endpoint("10.0.1.2:80", 0, healthy, "z1")
      .endpoint("10.0.2.1:80", 0, healthy, "z2")
      .endpoint("10.0.3.1:80", 0, healthy, "z3");
  fixture.cluster->locality_weights = {{{"r1", "z1", ""}, 80}, {{"r1", "z2", ""}, 20}};
  const auto picks = fixture.picks(10000);
  CHECK(picks.at("10.0.1.1:80") == Approx(4000).margin(250));
  CHECK(picks.at("10.0.2.1:80") == Approx(2000).margin(250));
  CHECK(picks.count("10.0.3.1:80") == 0);
}

TEST_CASE("a retry goes to somebody else, or to nobody") {
  Fixture fixture;
  fixture.endpoint("10.0.0.1:80").endpoint("10.0.0.2:80");
  for (int i = 0; i < 20; ++i) CHECK(fixture.pick(kNow, {"10.0.0.1:80"}) == "10.0.0.2:80");
  CHECK(fixture.pick(kNow, {"10.0.0.1:80", "10.0.0.2:80"}) == "nobody");
}

Lookup answer_of(std::vector<IpAddress> v4) {
  Lookup lookup;
  lookup.v4.outcome = v4.empty() ? FamilyLookup::Outcome::kEmpty : FamilyLookup::Outcome::kAddresses;
  lookup.v4.addresses = std::move(v4);
  return lookup;
}

TEST_CASE("names become hosts when they are resolved") {
  Fixture fixture;
  model::Endpoint endpoint;
  endpoint.address = model::HostName{"db.example.com", 5432};
  fixture.cluster->endpoints.push_back(endpoint);
  fixture.cluster->type = GENERATE(model::ClusterType::kStrictDns, model::ClusterType::kLogicalDns);
  const bool logical = fixture.cluster->type == model::ClusterType::kLogicalDns;
  CHECK(fixture.pick() == "pending");
  fixture.names.looked_up("db.example.com", answer_of({IpAddress::v4(0x0a000001), IpAddress::v4(0x0a000002)}),
                          kNow);
  CHECK(fixture.picks(100).size() == (logical ? 1 : 2));
  CHECK(fixture.pick().ends_with(":5432"));
  // No addresses any more: Envoy's STRICT_DNS has no hosts then, its LOGICAL_DNS keeps the one it has.
  fixture.names.looked_up("db.example.com", answer_of({}), kNow);
  CHECK(fixture.pick() == (logical ? "10.0.0.1:5432" : "nobody"));

  Fixture other;
  other.cluster->endpoints.push_back(endpoint);
  other.cluster->type = model::ClusterType::kStrictDns;
  other.names.looked_up("db.example.com", answer_of({}), kNow);
  CHECK(other.pick() == "nobody");
}

TEST_CASE("what is known about a host survives a new configuration") {
  Fixture fixture;
  fixture.endpoint("10.0.0.1:80").endpoint("10.0.0.2:80");
  fixture.eject("10.0.0.1:80", kNow + 30s);
  CHECK(fixture.pick() == "10.0.0.2:80");
  fixture.cluster = std::make_shared<model::Cluster>(*fixture.cluster);
  fixture.made.reset();
  CHECK(fixture.picks(20).size() == 1);
}
