// Two sidecars on a bad network: every link of both pods loses segments, delays them and changes their order.
#include <catch2/catch.hpp>

#include "test_support/netem.h"
#include "test_support/skip.h"
#include "two_sidecars.h"

namespace sockmesh::test {
namespace {

void run_lossy(const std::string& data_path) {
  TwoSidecars two(data_path);
  if (two.misses_lane()) return;
  for (const Pod* pod : {&two.client_pod, &two.store_pod}) {
    for (const char* device : {"eth0", "lo"}) {
      if (!set_netem(pod->netns, device, "delay 5ms loss 1.5% reorder 10% 50%"))
        return skip("this kernel has no netem");
    }
  }
  for (const Scenario scenario : {Scenario::kEcho, Scenario::kDuplex, Scenario::kUpload, Scenario::kDownload,
                                  Scenario::kServerHalfClose, Scenario::kTinyWrites}) {
    for (const bool ipv6 : {false, true}) {
      two.check({.scenario = scenario,
                 .bytes = scenario == Scenario::kTinyWrites ? 1000u : 150'000u,
                 .ipv6 = ipv6});
    }
  }
}

TEST_CASE("two sidecars under loss, delay and reordering with epoll") { run_lossy("epoll"); }
TEST_CASE("two sidecars under loss, delay and reordering with io_uring") { run_lossy("io_uring"); }
TEST_CASE("two sidecars under loss, delay and reordering with sockmap") { run_lossy("sockmap"); }
TEST_CASE("two sidecars under loss, delay and reordering with auto") { run_lossy("auto"); }

}  // namespace
}  // namespace sockmesh::test
