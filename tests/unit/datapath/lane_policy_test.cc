// The policy's decisions as a table.
#include "datapath/lane_policy.h"

#include <catch2/catch.hpp>

using namespace sockmesh;
using namespace sockmesh::datapath;
using std::chrono::milliseconds;

TEST_CASE("traffic is told apart by rate and by the silence of the other direction") {
  const auto in_20_ms = [](uint64_t down, uint64_t up) { return classify({down, up, milliseconds(20)}); };
  CHECK(in_20_ms(0, 0) == Traffic::kIdle);
  CHECK(in_20_ms(1, 0) == Traffic::kMixed);
  CHECK(in_20_ms(20 << 20, 0) == Traffic::kBulk);
  CHECK(in_20_ms(0, 20 << 20) == Traffic::kBulk);
  CHECK(in_20_ms(300, 20 << 20) == Traffic::kBulk);             // a download's request
  CHECK(in_20_ms(20 << 20, 20 << 20) == Traffic::kMixed);       // an echo
  CHECK(in_20_ms(64 * 1000, 16384 * 1000) == Traffic::kMixed);  // 64 byte questions, 16 KiB answers
  CHECK(in_20_ms(200'000, 0) == Traffic::kMixed);               // 80 Mbit/s
}

TEST_CASE("mode sockmap splices whatever the traffic") {
  for (const Traffic traffic : {Traffic::kIdle, Traffic::kMixed, Traffic::kBulk})
    CHECK(advise(SpliceWish::kAlways, {.traffic = traffic}).redirect);
}

TEST_CASE("mode auto waits until splicing can pay") {
  const auto redirect = [](uint64_t bytes, milliseconds age) {
    return advise(SpliceWish::kMeasured, {.traffic = Traffic::kMixed, .bytes = bytes, .age = age}).redirect;
  };
  CHECK_FALSE(redirect(1000, milliseconds(20)));
  CHECK(redirect(1000, milliseconds(300)));
  CHECK_FALSE(redirect(100'000, milliseconds(20)));  // who else is busy is not known yet
  CHECK(redirect(100'000, milliseconds(60)));
  CHECK_FALSE(redirect(0, milliseconds(5000)));
}

TEST_CASE("mode auto splices bulk transfers in company") {
  const auto redirect = [](bool redirecting, uint32_t bulk_flows) {
    return advise(SpliceWish::kMeasured, {.traffic = Traffic::kBulk,
                                          .bytes = 1 << 30,
                                          .age = milliseconds(500),
                                          .redirecting = redirecting,
                                          .bulk_flows = bulk_flows})
        .redirect;
  };
  CHECK_FALSE(redirect(false, 1));
  CHECK_FALSE(redirect(false, 2));
  CHECK(redirect(false, 3));
  CHECK(redirect(true, 2));  // no going to and fro around the threshold
  CHECK_FALSE(redirect(true, 1));
}

TEST_CASE("mode auto does not splice bulk transfers that their reader holds up") {
  const FlowFacts facts{.traffic = Traffic::kBulk,
                        .bytes = 1 << 30,
                        .age = milliseconds(500),
                        .held_up = true,
                        .bulk_flows = 8};
  CHECK_FALSE(advise(SpliceWish::kMeasured, facts).redirect);
  CHECK(advise(SpliceWish::kAlways, facts).redirect);
}

TEST_CASE("a spliced flow that talks stays spliced") {
  const auto advice =
      advise(SpliceWish::kMeasured, {.traffic = Traffic::kMixed, .bytes = 10, .redirecting = true});
  CHECK(advice.redirect);
  CHECK(advice.reason == "spliced: an established flow");
}

TEST_CASE("many busy exchanges stay in user space, a few are spliced") {
  const auto redirect = [](bool redirecting, uint32_t busy_flows) {
    return advise(SpliceWish::kMeasured, {.traffic = Traffic::kMixed,
                                          .bytes = 1 << 20,
                                          .age = milliseconds(500),
                                          .redirecting = redirecting,
                                          .busy_flows = busy_flows})
        .redirect;
  };
  CHECK(redirect(false, 1));
  CHECK(redirect(false, 15));
  CHECK_FALSE(redirect(false, 16));
  CHECK(redirect(true, 32));  // once in the sockmap, copying would cost more
}

TEST_CASE("busy is what exchanges at a rate, not what trickles or streams") {
  CHECK(is_busy({5000, 5000, milliseconds(20)}));
  CHECK_FALSE(is_busy({100, 100, milliseconds(20)}));
  CHECK_FALSE(is_busy({20 << 20, 0, milliseconds(20)}));
}
