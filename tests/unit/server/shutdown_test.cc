#include "server/shutdown.h"

#include <catch2/catch.hpp>

using namespace sockmesh;
using namespace sockmesh::server;
using namespace std::chrono_literals;

TEST_CASE("after SIGTERM it serves on for the drain duration, as Istio") {
  Options options;
  CHECK_FALSE(drained(options, 4s, 0));
  CHECK(drained(options, 5s, 0));
  CHECK(drained(options, 5s, 1000));
}

TEST_CASE("or until nobody is connected, but a minimum") {
  Options options;
  options.exit_on_zero_connections = true;
  CHECK_FALSE(drained(options, 1s, 0));
  CHECK(drained(options, 5s, 0));
  CHECK_FALSE(drained(options, 1h, 1));
}

TEST_CASE("resets are spread over the steps, and the last one takes the rest") {
  size_t left = 1003;
  for (unsigned steps = 20; steps > 0; --steps) {
    const size_t share = reset_share(left, steps);
    CHECK(share <= 51);
    left -= share;
  }
  CHECK(left == 0);
  CHECK(reset_share(3, 20) == 1);
  CHECK(reset_share(0, 20) == 0);
  CHECK(reset_share(7, 0) == 7);
}
