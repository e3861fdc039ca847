// Many connections through two sidecars: not a byte lost, not a descriptor kept.
#include <catch2/catch.hpp>

#include "test_support/eventually.h"
#include "two_sidecars.h"

namespace sockmesh::test {
namespace {

// The agents hold on to nothing once the flows are over.
void check_nothing_kept(TwoSidecars& two, size_t client_before, size_t store_before) {
  EVENTUALLY(two.client.descriptors() <= client_before);
  EVENTUALLY(two.store.descriptors() <= store_before);
}

TEST_CASE("10,000 short connections through two sidecars and all workers") {
  TwoSidecars two;
  two.check({.flows = 10});  // what is made on first use is there now
  const size_t client_before = two.client.descriptors(), store_before = two.store.descriptors();
  two.check({.flows = sanitized() ? 2000 : 10'000, .bytes = 500, .client_options = {"--concurrency", "50"}});
  check_nothing_kept(two, client_before, store_before);
}

TEST_CASE("1,000 concurrent streams through two sidecars and all workers") {
  TwoSidecars two;
  two.check({.flows = 10});
  const size_t client_before = two.client.descriptors(), store_before = two.store.descriptors();
  two.check({.scenario = Scenario::kDuplex, .flows = sanitized() ? 200 : 1000, .bytes = 100'000});
  check_nothing_kept(two, client_before, store_before);
}

}  // namespace
}  // namespace sockmesh::test
