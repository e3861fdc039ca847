#include "upstream/hash_table.h"

#include <catch2/catch.hpp>

#include "upstream/random.h"

using namespace sockmesh::upstream;

namespace {

std::vector<HashedHost> hosts(size_t count) {
  std::vector<HashedHost> out;
  for (size_t i = 0; i < count; ++i) out.push_back({"10.0.0." + std::to_string(i + 1) + ":80", 1});
  return out;
}

using Maker = std::unique_ptr<HashTable> (*)(const std::vector<HashedHost>&, uint32_t);

}  // namespace

TEST_CASE("every host of a hash table gets its part") {
  const Maker make = GENERATE(make_ring, make_maglev);
  const auto table = make(hosts(10), 0);
  std::vector<int> counts(10);
  Random random(7);
  for (int i = 0; i < 100000; ++i) ++counts[table->at(random.next())];
  for (const int count : counts) {
    CHECK(count > 7000);
    CHECK(count < 13500);
  }
}

TEST_CASE("losing a host moves little more than its own hashes") {
  const Maker make = GENERATE(make_ring, make_maglev);
  const auto before = make(hosts(10), 0);
  const auto after = make(hosts(9), 0);  // the last one left
  int moved = 0, own = 0;
  Random random(7);
  for (int i = 0; i < 20000; ++i) {
    const uint64_t hash = random.next();
    if (before->at(hash) == 9)
      ++own;
    else if (before->at(hash) != after->at(hash))
      ++moved;
  }
  CHECK(own > 1000);
  CHECK(moved < 2000);
}

TEST_CASE("odd sizes are made to work") {
  CHECK(make_maglev(hosts(3), 1)->at(99) < 3);
  CHECK(make_maglev(hosts(3), 1000)->at(99) < 3);
  CHECK(make_ring(hosts(1), 1)->at(99) == 0);
}
