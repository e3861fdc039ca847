#include "server/connection_limit.h"

#include <catch2/catch.hpp>

using namespace sockmesh::server;

TEST_CASE("half of the descriptors that the agent leaves are connections, however many were asked for") {
  constexpr size_t kMillion = 1'000'000;
  CHECK(kReservedDescriptors == 480);  // SECURITY.md says so
  CHECK(connection_limit(0, kMillion) == (kMillion - kReservedDescriptors) / 2);
  CHECK(connection_limit(100, kMillion) == 100);
  CHECK(connection_limit(kMillion, kMillion) == connection_limit(0, kMillion));
  // Two sockets each, and what is reserved, are never more than there may be; few stay unused.
  for (size_t descriptors = kReservedDescriptors + 2 * kFewestConnections; descriptors < 5000;
       ++descriptors) {
    const size_t used = kReservedDescriptors + 2 * connection_limit(0, descriptors);
    REQUIRE(used <= descriptors);
    REQUIRE(used + 2 > descriptors);
  }
  for (const size_t few : {size_t{0}, size_t{256}, kReservedDescriptors, kReservedDescriptors + 100})
    CHECK(connection_limit(0, few) == kFewestConnections);
}
