#include "upstream/priority_load.h"

#include <catch2/catch.hpp>

using namespace sockmesh::upstream;

namespace {

std::vector<uint32_t> percents(const std::vector<LevelHealth>& levels, uint32_t panic_threshold = 0) {
  std::vector<uint32_t> out;
  for (const LevelLoad& load : priority_load(levels, panic_threshold)) out.push_back(load.percent);
  return out;
}
using P = std::vector<uint32_t>;

}  // namespace

TEST_CASE("a level keeps everything while 1.4 times its healthy share covers all of it") {
  CHECK(percents({{10, 10}, {10, 10}}) == P{100, 0});
  CHECK(percents({{8, 10}, {10, 10}}) == P{100, 0});  // 112 %
  CHECK(percents({{5, 7}, {1, 1}}) == P{100, 0});     // exactly 100 %
}

TEST_CASE("what a level cannot take spills over to the next") {
  CHECK(percents({{5, 10}, {10, 10}}) == P{70, 30});
  CHECK(percents({{0, 10}, {10, 10}}) == P{0, 100});
  CHECK(percents({{1, 4}, {1, 4}, {4, 4}}) == P{35, 35, 30});
}

TEST_CASE("when all levels together are too weak they share in proportion") {
  CHECK(percents({{1, 4}, {1, 4}}) == P{50, 50});
  CHECK(percents({{1, 10}, {2, 10}}) == P{34, 66});
}

TEST_CASE("nobody healthy and no panic: nobody is chosen") {
  CHECK(percents({{0, 10}, {0, 10}}) == P{0, 0});
  CHECK(percents({}).empty());
}

TEST_CASE("below the threshold a level panics and uses all of its hosts") {
  const auto loads = priority_load({{4, 10}, {0, 0}}, 50);
  CHECK(loads[0].percent == 100);
  CHECK(loads[0].panic);
  CHECK_FALSE(priority_load({{5, 10}}, 50)[0].panic);
  CHECK_FALSE(priority_load({{0, 10}}, 0)[0].panic);
}

TEST_CASE("when every level panics the number of hosts decides") {
  CHECK(percents({{0, 30}, {0, 10}}, 50) == P{75, 25});
}

TEST_CASE("percentages always sum to a hundred or to nothing") {
  for (uint32_t a = 0; a <= 7; ++a)
    for (uint32_t b = 0; b <= 5; ++b)
      for (uint32_t c = 0; c <= 3; ++c)
        for (const uint32_t threshold : {0u, 50u}) {
          uint32_t sum = 0;
          for (const uint32_t percent : percents({{a, 7}, {b, 5}, {c, 3}}, threshold)) sum += percent;
          CHECK(sum == (a + b + c > 0 || threshold > 0 ? 100 : 0));
        }
}
