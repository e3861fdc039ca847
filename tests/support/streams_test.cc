// The checked streams themselves: over a plain socket pair every scenario passes, and what a broken relay
// does to a stream is noticed.
#include "test_support/streams.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>

#include "test_support/eventually.h"
#include "test_support/pattern.h"
#include "test_support/scenarios.h"
#include "test_support/tcp_pair.h"

namespace sockmesh::test {
namespace {

TEST_CASE("every scenario passes over a direct connection") {
  for (const Scenario scenario : all_scenarios()) {
    for (const bool ipv6 : {false, true}) {
      INFO(to_string(scenario) << (ipv6 ? " v6" : " v4"));
      auto [a, b] = tcp_pair(ipv6);
      const FlowPlan plan = plan_flow(scenario, 7, scenario == Scenario::kTinyWrites ? 3000 : 300'000);
      StreamEnd client(std::move(a), plan.client, plan.server);
      StreamEnd server(std::move(b), plan.server);
      const std::array<StreamEnd*, 2> ends{&client, &server};
      CHECK(run_ends(ends, patient(std::chrono::seconds(20))) == "");
    }
  }
}

TEST_CASE("a server learns from the header what to do") {
  for (const Scenario scenario : all_scenarios()) {
    if (scenario == Scenario::kServerFirst) continue;
    INFO(to_string(scenario));
    auto [a, b] = tcp_pair(false);
    const FlowPlan plan = plan_flow(scenario, 8, 2000);
    StreamEnd client(std::move(a), plan.client, plan.server);
    EndPlan learner;
    learner.learn = true;
    StreamEnd server(std::move(b), learner);
    const std::array<StreamEnd*, 2> ends{&client, &server};
    CHECK(run_ends(ends, patient(std::chrono::seconds(20))) == "");
  }
}

TEST_CASE("a wrong byte, a lost tail and a wrong stream are noticed") {
  // What a client of the upload scenario would put on the wire, as bytes to tamper with.
  const FlowPlan plan = plan_flow(Scenario::kUpload, 9, 5000);
  std::vector<char> wire(5000);
  {
    auto [a, b] = tcp_pair(false);
    StreamEnd client(std::move(a), plan.client, plan.server);
    client.step();
    REQUIRE(recv(b.get(), wire.data(), wire.size(), MSG_WAITALL) == 5000);
  }
  EndPlan server_plan = plan.server;
  std::string expected;
  SECTION("a wrong byte") {
    wire[4321] ^= 1;
    expected = "byte 4321 is wrong";
  }
  SECTION("a lost tail") {
    wire.resize(4999);
    expected = "4999 bytes came in, expected 5000";
  }
  SECTION("a byte too many") {
    wire.push_back('x');
    expected = "5001 bytes came in, expected 5000";
  }
  SECTION("another flow's stream") {
    server_plan.peer_id = 1;
    expected = "bytes of another flow";
  }
  auto [a, b] = tcp_pair(false);
  StreamEnd server(std::move(b), server_plan);
  REQUIRE(send(a.get(), wire.data(), wire.size(), 0) == static_cast<ssize_t>(wire.size()));
  shutdown(a.get(), SHUT_WR);
  const std::array<StreamEnd*, 1> ends{&server};
  CHECK_THAT(run_ends(ends, patient(std::chrono::seconds(5))), Catch::Contains(expected));
}

TEST_CASE("a reset where a FIN was planned is noticed, and the other way round") {
  auto [a, b] = tcp_pair(false);
  FlowPlan plan = plan_flow(Scenario::kEcho, 10, 2000);
  SECTION("reset") {
    plan.client.end = EndPlan::End::kReset;
    plan.client.end_after = kHeaderBytes;
  }
  SECTION("no reset") { plan.server.peer_resets = true; }
  StreamEnd client(std::move(a), plan.client, plan.server);
  StreamEnd server(std::move(b), plan.server);
  const std::array<StreamEnd*, 2> ends{&client, &server};
  CHECK(run_ends(ends, patient(std::chrono::seconds(5))) != "");
}

TEST_CASE("a stream holds where it is told to, and goes on") {
  auto [a, b] = tcp_pair(false);
  FlowPlan plan = plan_flow(Scenario::kEcho, 11, 2000);
  plan.client.hold_at = 700;
  StreamEnd client(std::move(a), plan.client, plan.server);
  StreamEnd server(std::move(b), plan.server);
  const std::array<StreamEnd*, 2> ends{&client, &server};
  const auto limit = patient(std::chrono::seconds(5));
  REQUIRE(run_ends(ends, limit, [&] { return client.report().received == 700; }) == "");
  CHECK(client.holding());
  CHECK(client.report().sent == 700);
  client.resume();
  CHECK(run_ends(ends, limit) == "");
  CHECK(client.report().received == 2000);
}

TEST_CASE("the pattern depends on stream and offset alone") {
  std::array<std::byte, 100> whole;
  std::array<std::byte, 41> part;
  fill_pattern(5, 1000, whole);
  fill_pattern(5, 1023, part);
  CHECK(std::equal(part.begin(), part.end(), whole.begin() + 23));
  CHECK(first_mismatch(5, 1000, whole) == std::nullopt);
  CHECK(first_mismatch(5, 1001, whole) == 0u);
  CHECK(first_mismatch(6, 1000, whole).has_value());
}

}  // namespace
}  // namespace sockmesh::test
