#include <catch2/catch.hpp>

#include "upstream/resolver.h"

using namespace sockmesh;
using namespace sockmesh::upstream;
using namespace std::chrono_literals;

TEST_CASE("a name is asked for again when its TTL ends") {
  CHECK(refresh_after(30s, 60s) == 30s);
  CHECK(refresh_after(0s, 60s) == 60s);
  CHECK(refresh_after(0s, 0s) == 1s);
  CHECK(refresh_after(86400s, 60s) == 1h);
}

TEST_CASE("failed lookups are repeated with growing pauses") {
  CHECK(retry_after(1, 60s) == 1s);
  CHECK(retry_after(3, 60s) == 4s);
  CHECK(retry_after(50, 60s) == 60s);
  CHECK(retry_after(1, 0s) == 1s);
}

TEST_CASE("the next lookup follows how the last one went") {
  const auto family = [](FamilyLookup::Outcome outcome, std::chrono::seconds ttl) {
    return FamilyLookup{outcome, {}, ttl, ""};
  };
  using enum FamilyLookup::Outcome;
  NameAnswer answered, vain;
  answered.state = NameState::kAnswered;
  vain.in_vain = 3;
  CHECK(next_lookup({family(kAddresses, 30s), {}}, answered, 60s) == 30s);
  CHECK(next_lookup({family(kAddresses, 30s), family(kAddresses, 5s)}, answered, 60s) == 5s);
  CHECK(next_lookup({family(kAddresses, 0s), family(kAddresses, 7s)}, answered, 60s) == 7s);
  CHECK(next_lookup({family(kAddresses, 0s), {}}, answered, 60s) == 60s);
  for (const NameState state : {NameState::kEmpty, NameState::kFailing}) {
    vain.state = state;
    CHECK(next_lookup({family(kEmpty, 0s), {}}, vain, 60s) == 4s);
    CHECK(next_lookup({family(kEmpty, 0s), {}}, vain, 2s) == 2s);
  }
}

TEST_CASE("names and families come from the snapshot") {
  model::Snapshot snapshot;
  auto slow = std::make_shared<model::Cluster>();
  slow->endpoints.push_back({model::HostName{"db.example.com", 5432}});
  auto fast = std::make_shared<model::Cluster>(*slow);
  fast->dns_refresh = 5s;
  auto fixed = std::make_shared<model::Cluster>();
  fixed->endpoints.push_back({SocketAddress{IpAddress::v4(0x0a000001), 80}});
  snapshot.clusters["slow"] = slow;
  snapshot.clusters["fast"] = fast;
  snapshot.clusters["fixed"] = fixed;
  const auto names = names_of(snapshot);
  REQUIRE(names.size() == 1);
  CHECK(names.at("db.example.com") == 5s);

  CHECK(families_of(snapshot).v6);
  snapshot.self_ips = {IpAddress::v4(0x0a000001)};
  CHECK(families_of(snapshot).v4);
  CHECK_FALSE(families_of(snapshot).v6);
}
