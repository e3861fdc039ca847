// Every kind of stream through two sidecars, on each data path, over both families: bytes, log lines and
// metrics agree.
#include <catch2/catch.hpp>

#include "two_sidecars.h"

namespace sockmesh::test {
namespace {

void run_matrix(const std::string& data_path, const std::string& lane) {
  TwoSidecars two(data_path);
  if (two.misses_lane()) return;
  for (const Scenario scenario : all_scenarios()) {
    for (const bool ipv6 : {false, true}) {
      two.check({.scenario = scenario,
                 .bytes = scenario == Scenario::kTinyWrites ? 5000u : 300'000u,
                 .ipv6 = ipv6});
    }
  }
  CHECK(two.lane_flows(lane) > 0);
}

TEST_CASE("every stream through two sidecars by epoll workers") { run_matrix("epoll", "epoll"); }
TEST_CASE("every stream through two sidecars by io_uring workers") { run_matrix("io_uring", "io_uring"); }
TEST_CASE("every stream through two sidecars by sockmap workers") { run_matrix("sockmap", "sk_skb"); }

}  // namespace
}  // namespace sockmesh::test
