// Two ends that talk to each other directly: every plan can be carried out, and what is asked of a flow
// through sidecars holds of a direct one.
#include "stress/end.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <catch2/catch.hpp>
#include <optional>

#include "test_support/eventually.h"
#include "test_support/tcp_pair.h"

using namespace sockmesh;
using namespace sockmesh::stress;

namespace {

struct Ends {
  explicit Ends(const FlowPlan& plan) : flow(plan) {
    auto pair = test::tcp_pair(plan.ipv6);
    const auto keys = [&](bool of_client) {
      return End::Keys{key_of(1, plan.number, of_client), {key_of(1, plan.number, !of_client), "the other"}};
    };
    client.emplace(std::move(pair.first), flow.client, keys(true), flow.server.send, plan.randomness);
    server.emplace(std::move(pair.second), flow.server, keys(false), flow.client.send, ~plan.randomness);
  }
  void run() {
    Scratch scratch;
    const auto nobody = [] { return std::vector<Stream>(); };
    const bool done = test::eventually(
        [&] {
          for (int turn = 0; turn < 200 && (client->open() || server->open()); ++turn) {
            server->step(monotonic_now(), true, scratch, nobody);
            client->step(monotonic_now(), true, scratch, nobody);
          }
          return !client->open() && !server->open();
        },
        std::chrono::seconds(20));
    INFO(describe(flow));
    REQUIRE(done);
  }
  const FlowPlan flow;
  std::optional<End> client, server;
};

}  // namespace

TEST_CASE("every plan can be carried out") {
  for (uint64_t number = 0; number < 250; ++number) {
    FlowPlan plan = plan_flow(1, number);
    if (plan.client.send + plan.server.send > 3'000'000) continue;
    INFO("flow " << number << ": " << describe(plan));
    Ends ends(plan);
    ends.run();
    const End &client = *ends.client, &server = *ends.server;
    CHECK(client.error() == "");
    CHECK(server.error() == "");
    CHECK(client.wrong_bytes() == "");
    CHECK(server.wrong_bytes() == "");
    CHECK((plan.resets() || !client.was_reset()));
    CHECK((plan.resets() || !server.was_reset()));
    if (plan.client.close == Close::kReset) CHECK(server.was_reset());
    if (plan.server.close == Close::kReset) CHECK(client.was_reset());
    if (!plan.resets()) CHECK(client.received() == plan.server.send);
    if (plan.server.close == Close::kUnread) CHECK(client.received() + server.unsent() >= plan.server.send);
    if (!plan.resets()) CHECK(server.received() == plan.client.send);
  }
}

TEST_CASE("what its kernel had not sent when an end closes with bytes unread is lost, and counted") {
  FlowPlan plan;
  plan.client.send = 100;
  plan.server.send = 1000;
  plan.server.reads = 1;
  plan.server.close = Close::kUnread;
  plan.server.gates = {{.at = 0, .received = 1}};
  const bool corked = GENERATE(false, true);
  Ends ends(plan);
  // As a congestion window that is used up does, but always.
  const int value = corked ? 1 : 0;
  REQUIRE(setsockopt(ends.server->fd(), IPPROTO_TCP, TCP_CORK, &value, sizeof value) == 0);
  ends.run();
  CHECK(ends.server->sent() == 1000);
  CHECK(ends.server->unsent() == (corked ? 1000 : 0));
  CHECK(ends.client->received() == (corked ? 0 : 1000));
  CHECK(ends.client->was_reset());
}

TEST_CASE("an end tells of bytes that are not those of its plan, and of an end that comes too early") {
  FlowPlan plan;
  plan.server.send = 1000;
  Ends ends(plan);
  auto pair = test::tcp_pair(false);
  End client(std::move(pair.first), plan.client, {0, {key_of(1, 0, false), "the server's"}}, 1000, 0);
  Scratch scratch;
  std::vector<std::byte> bytes(600);
  sockmesh::stress::fill(key_of(1, 0, false), 0, bytes);
  sockmesh::stress::fill(key_of(1, 0, false), 800, std::span(bytes).subspan(500));
  REQUIRE(send(pair.second.get(), bytes.data(), bytes.size(), 0) == 600);
  pair.second.reset();
  REQUIRE(test::eventually([&] {
    client.step(monotonic_now(), true, scratch, [] { return std::vector<Stream>(); });
    return client.ended();
  }));
  CHECK(client.wrong_bytes() ==
        "600 of 1000 bytes: at offset 500 came 100 bytes of offset 800: 300 bytes were overtaken or are "
        "missing; "
        "then its end");
}
