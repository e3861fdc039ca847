// What two readings of a send queue say together.
#include "bpf/tcp_progress.h"

#include <catch2/catch.hpp>

using sockmesh::bpf::placed_since;

TEST_CASE("bytes placed are what is acknowledged and what is not, beyond the base") {
  CHECK(placed_since(0, 0, 0) == 0);
  CHECK(placed_since(1000, 700, 300) == 0);
  CHECK(placed_since(1000, 700, 350) == 50);
  CHECK(placed_since(1000, 1400, 0) == 400);
  CHECK(placed_since(1ull << 40, (1ull << 40) - 5, 10) == 5);
}

TEST_CASE("readings that fall below the base say nothing, never that everything is there") {
  // 400,000 bytes were unacknowledged at the base; 200,000 of them were acknowledged between the readings.
  CHECK(placed_since(400'001, 1, 200'000) == 0);
  // The same with 50,000 bytes placed since: too little, and not the other way.
  CHECK(placed_since(400'001, 1, 250'000) == 0);
  CHECK(placed_since(400'001, 1, 450'000) == 50'000);
}

TEST_CASE("a send queue that the kernel reads as negative is not a huge one") {
  // The kernel subtracts what is acknowledged from what was written without a lock: both can move in between.
  CHECK(placed_since(1, 1, -500) == 0);
  CHECK(placed_since(0, 1000, -500) == 500);
}
