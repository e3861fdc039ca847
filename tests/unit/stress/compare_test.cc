// The agents' log lines against what the applications counted: each disagreement is told.
#include "stress/compare.h"

#include <catch2/catch.hpp>

using namespace sockmesh::stress;

namespace {

const FlowPlan kPlain;
FlowPlan with(Close client, Close server) {
  FlowPlan plan;
  plan.client.close = client;
  plan.server.close = server;
  return plan;
}

LoggedFlow logged(uint64_t received, uint64_t sent, const char* flags = "-") {
  return {flags, received, sent};
}

}  // namespace

TEST_CASE("of a flow that ends well everybody counts the same") {
  const Counted counted{.client_sent = 10, .client_received = 20, .server_sent = 20, .server_received = 10};
  CHECK(compare(kPlain, counted, logged(10, 20), logged(10, 20)) == "");
  CHECK(compare(kPlain, counted, logged(11, 20), logged(10, 20)) ==
        "client's agent: BYTES_RECEIVED 11, counted 10");
  CHECK(compare(kPlain, counted, logged(10, 19), logged(10, 20)) ==
        "client's agent: BYTES_SENT 19, counted 20");
  CHECK(compare(kPlain, counted, logged(10, 20), logged(9, 20)) ==
        "server's agent: BYTES_RECEIVED 9, counted 10");
  CHECK(compare(kPlain, counted, logged(10, 20, "UR"), logged(10, 20)) ==
        "client's agent: flags UR, expected -");
}

TEST_CASE("of a flow that is reset nobody counts more than who comes before") {
  const Counted counted{.client_sent = 100, .client_received = 5, .server_sent = 50, .server_received = 60};
  const FlowPlan client = with(Close::kReset, Close::kFin);
  CHECK(compare(client, counted, logged(90, 10), logged(80, 20)) == "");
  CHECK(compare(client, counted, logged(101, 10), logged(80, 20)) ==
        "up: the applications and the agents counted 100, 101, 80, 60");
  CHECK(compare(client, counted, logged(90, 4), logged(80, 20)) ==
        "down: the applications and the agents counted 50, 20, 4, 5");
  const FlowPlan server = with(Close::kFin, Close::kReset);
  CHECK(compare(server, counted, logged(90, 10, "UR"), logged(80, 20, "UR")) == "");
  CHECK(compare(server, counted, logged(90, 10), logged(80, 20, "UR")) ==
        "client's agent: flags -, expected UR");
  // Whether the RST of a close() with unread bytes comes before the FIN is the kernel's choice.
  const FlowPlan early = with(Close::kFin, Close::kUnread);
  CHECK(compare(early, counted, logged(90, 10), logged(80, 20, "UR")) == "");
}
