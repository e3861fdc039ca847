#include "server/name_status.h"

#include <catch2/catch.hpp>

using namespace sockmesh;
using namespace sockmesh::server;
using namespace std::chrono_literals;

namespace {

const MonotonicTime kNow{100s};

model::Snapshot snapshot_with(model::ClusterType type, std::vector<std::string> names) {
  auto cluster = std::make_shared<model::Cluster>();
  cluster->name = "outbound|5432||db";
  cluster->type = type;
  for (const std::string& name : names) {
    model::Endpoint endpoint;
    endpoint.address = model::HostName{name, 5432};
    cluster->endpoints.push_back(std::move(endpoint));
  }
  model::Snapshot snapshot;
  snapshot.clusters[cluster->name] = cluster;
  return snapshot;
}

upstream::NameAnswerPtr answer(upstream::NameState state, std::vector<IpAddress> addresses,
                               std::vector<IpAddress> last, const char* error) {
  upstream::NameAnswer made;
  made.state = state;
  made.addresses = std::move(addresses);
  made.last_addresses = std::move(last);
  made.error = error;
  made.attempts = 6;
  made.with_addresses = 3;
  made.empties = 2;
  made.failures = 1;
  made.answered = kNow - 30s;
  return std::make_shared<upstream::NameAnswer>(made);
}

const IpAddress kOne = IpAddress::v4(0x0a000001), kTwo = IpAddress::v4(0x0a000002);

}  // namespace

TEST_CASE("a name whose server is dead is told, with what is in use instead") {
  const model::Snapshot snapshot =
      snapshot_with(model::ClusterType::kStrictDns, {"dead", "gone", "new", "well"});
  const NameAnswers answers{{"dead", answer(upstream::NameState::kFailing, {kOne}, {kOne}, "timeout")},
                            {"gone", answer(upstream::NameState::kEmpty, {}, {kOne}, "not found")},
                            {"well", answer(upstream::NameState::kAnswered, {kOne}, {kOne}, "")}};
  const auto unwell = unwell_names(snapshot, answers, kNow);
  REQUIRE(unwell.size() == 2);
  CHECK(unwell[0].name == "dead");
  CHECK(unwell[0].state == "failing");
  CHECK(unwell[0].addresses == std::vector<std::string>{"10.0.0.1"});
  CHECK(unwell[0].error == "timeout");
  CHECK(unwell[0].answer_age == Duration(30s));
  CHECK(unwell[1].name == "gone");
  CHECK(unwell[1].addresses.empty());
}

TEST_CASE("so many names are told") {
  std::vector<std::string> names;
  NameAnswers answers;
  for (size_t i = 0; i < kMaxNamesTold + 5; ++i) {
    names.push_back("name-" + std::to_string(i));
    answers[names.back()] = answer(upstream::NameState::kFailing, {}, {}, "timeout");
  }
  CHECK(unwell_names(snapshot_with(model::ClusterType::kStrictDns, names), answers, kNow).size() ==
        kMaxNamesTold);
}

TEST_CASE("an endpoint that is a name has the figures of its addresses") {
  const std::string cluster = "outbound|5432||db";
  const std::vector<admin::EndpointState> states{{cluster, "10.0.0.1:5432", true, 1, 10, 2, std::nullopt},
                                                 {cluster, "10.0.0.2:5432", false, 2, 20, 3, std::nullopt},
                                                 {cluster, "10.0.0.3:5432", false, 4, 40, 4, std::nullopt}};
  const NameAnswers answers{{"db", answer(upstream::NameState::kAnswered, {kOne, kTwo}, {kOne, kTwo}, "")}};
  const auto named =
      named_endpoints(snapshot_with(model::ClusterType::kStrictDns, {"db"}), answers, states, kNow);
  REQUIRE(named.size() == 1);
  CHECK(named[0].cluster == cluster);
  CHECK(named[0].address == "db:5432");
  CHECK(named[0].connections_active == 3);
  CHECK(named[0].connections_total == 30);
  CHECK(named[0].connect_failures == 5);
  CHECK_FALSE(named[0].ejected);  // one of two
  REQUIRE(named[0].name);
  CHECK(named[0].name->state == "answered");
  CHECK(named[0].name->addresses.size() == 2);

  // LOGICAL_DNS uses the first one.
  const auto logical =
      named_endpoints(snapshot_with(model::ClusterType::kLogicalDns, {"db"}), answers, states, kNow);
  CHECK(logical[0].name->addresses == std::vector<std::string>{"10.0.0.1"});
  CHECK(logical[0].ejected);

  const auto never = named_endpoints(snapshot_with(model::ClusterType::kStrictDns, {"new"}), {}, {}, kNow);
  CHECK(never[0].name->state == "pending");
  CHECK_FALSE(never[0].name->answer_age);
}

TEST_CASE("lookups are counted as Envoy counts them") {
  const NameAnswers answers{{"db", answer(upstream::NameState::kEmpty, {}, {kOne}, "not found")}};
  const auto totals = [&](model::ClusterType type) {
    return dns_totals(snapshot_with(type, {"db", "new"}), answers, kNow);
  };
  const auto strict = totals(model::ClusterType::kStrictDns).clusters.at("outbound|5432||db");
  CHECK(strict.attempt == 6);
  CHECK(strict.success == 5);  // an empty answer is a success there
  CHECK(strict.failure == 1);
  CHECK(strict.empty == 2);
  const auto logical = totals(model::ClusterType::kLogicalDns).clusters.at("outbound|5432||db");
  CHECK(logical.success == 3);
  CHECK(logical.failure == 3);
  const auto ages = totals(model::ClusterType::kStrictDns).answer_age_seconds;
  CHECK(ages.size() == 1);
  CHECK(ages.at("db") == 30);
}
