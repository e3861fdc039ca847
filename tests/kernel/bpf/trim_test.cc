// What was read before the insertion is not delivered a second time: every size of a partial read.
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "bpf/self_test_flow.h"

using namespace sockmesh;
using bpf::Side;

TEST_CASE("any part of what is queued may have been read before the insertion") {
  auto maps = bpf::SpliceMaps::load({});
  REQUIRE(maps);
  // Around the helper's limit of 4095 bytes, the segment (64 KiB on loopback), and several segments.
  const uint64_t cut = GENERATE(1, 2, 63, 1447, 4094, 4095, 4096, 8190, 8191, 30'000, 65'482, 65'483, 65'484,
                                65'536, 100'000, 149'999, 150'000);
  INFO("cut " << cut);
  auto flow = bpf::SelfTestFlow::open(**maps);
  REQUIRE(flow);
  REQUIRE(flow->send(Side::kDownstream, 150'000) == 150'000);
  std::vector<char> head(cut);
  size_t taken = 0;
  REQUIRE(flow->until("the head", [&]() -> Result<bool> {
    const auto n = recv(flow->socket(Side::kDownstream), head.data(), cut - taken, 0);
    if (n > 0) taken += static_cast<size_t>(n);
    return taken == cut;
  }));
  flow->count_received(Side::kDownstream, cut);
  REQUIRE(flow->splice());
  const auto first = flow->await("the rest", Side::kDownstream, 150'000);
  INFO((first ? "" : first.error().message));
  CHECK(first);
  REQUIRE(flow->send(Side::kDownstream, 10'000) == 10'000);
  const auto second = flow->await("more", Side::kDownstream, 160'000);
  INFO((second ? "" : second.error().message));
  CHECK(second);
  CHECK(flow->pair().counters(Side::kDownstream).total() == 160'000 - cut);
  CHECK_FALSE(flow->pair().broken(Side::kDownstream));
}
