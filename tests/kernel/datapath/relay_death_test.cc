// A process that dies in the middle of its flows is not the end of anybody's stream: both applications are
// reset, in every lane, whatever had been moved.
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "relay_world.h"
#include "test_support/fork.h"

namespace sockmesh::test {

namespace {

// Relays in the child, where the copies of the applications' sockets are closed, so that their ends are the
// test's alone.
void relay(const LaneSpec& lane, std::vector<Legs>& flows, int tell) {
  RelayWorld world(lane);
  for (Legs& legs : flows) {
    legs.client.reset();
    legs.server.reset();
    world.relay(std::move(legs.sockets));
  }
  if (write(tell, "x", 1) == 1) pause();
}

}  // namespace

TEST_CASE("relay matrix: killed in mid-stream, both ends are reset") {
  const auto cell = GENERATE(from_range(matrix()));
  const int signal = GENERATE(SIGKILL, SIGABRT);
  INFO(describe(cell) << ", signal " << signal);
  std::vector<Legs> flows;
  for (int i = 0; i < 4; ++i) flows.push_back(connect_legs(cell.ipv6));
  Fork agent([&](int tell) { relay(cell.lane, flows, tell); });
  for (Legs& legs : flows) legs.sockets = {};  // the relay's
  REQUIRE(agent.hear(1) == "x");
  const Legs &silent = flows[0], &talking = flows[1], &full = flows[2], &half = flows[3];
  put(talking.client, "question");
  REQUIRE(get(talking.server, 8) == "question");
  put(talking.server, "answer");
  REQUIRE(get(talking.client, 6) == "answer");
  // The server does not read, until nothing goes in any more.
  const std::string bytes(1 << 20, 'b');
  auto since = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - since < std::chrono::milliseconds(200))
    if (send(full.client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
      since = std::chrono::steady_clock::now();
  // One direction has ended, the other has not.
  put(half.client, "last");
  shutdown(half.client.get(), SHUT_WR);
  REQUIRE(get(half.server, 4) == "last");
  REQUIRE(wait_for_end(half.server) == End::kFin);
  put(half.server, "first");
  REQUIRE(get(half.client, 5) == "first");

  agent.die(signal);
  for (const Legs* legs : {&silent, &talking, &full}) {
    CHECK(wait_for_end(legs->client) == End::kRst);
    CHECK(wait_for_end(legs->server) == End::kRst);
  }
  CHECK(wait_for_end(half.client) == End::kRst);
}

}  // namespace sockmesh::test
