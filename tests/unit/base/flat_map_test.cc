#include "base/flat_map.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>

#include "base/rare.h"

using namespace sockmesh;

TEST_CASE("a flat map holds what a map holds, whatever is done to both") {
  std::mt19937 random(1);
  std::map<int, int> expected;
  FlatMap<int, int> map;
  for (int step = 0; step < 20'000; ++step) {
    // Few keys that hash alike: std::hash of an int is the int.
    const int key = static_cast<int>(random() % 64) * 1024;
    switch (random() % 3) {
      case 0:
        CHECK(map.emplace(key, step).second == expected.emplace(key, step).second);
        break;
      case 1:
        map.insert_or_assign(key, step);
        expected[key] = step;
        break;
      default:
        if (const auto it = map.find(key); it != map.end()) map.erase(it);
        expected.erase(key);
    }
    REQUIRE(map.contains(key) == expected.contains(key));
  }
  CHECK(std::map<int, int>(map.begin(), map.end()) == expected);
  const FlatMap<int, int> copy = map;
  for (const auto& [key, value] : expected) CHECK(copy.at(key) == value);
  CHECK_THROWS_AS(copy.at(-1), std::out_of_range);
}

TEST_CASE("a rare value copies like an optional one") {
  Rare<int> none, one = 1;
  CHECK_FALSE(none);
  Rare<int> copy = one;
  *copy = 2;
  CHECK(*one == 1);
  CHECK(none.value_or(7) == 7);
  CHECK(std::optional<int>(copy) == 2);
  copy = none;
  CHECK_FALSE(copy.has_value());
  CHECK(none.emplace(5) == 5);
}
