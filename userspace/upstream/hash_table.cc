#include "upstream/hash_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "upstream/random.h"

namespace sockmesh::upstream {

namespace {

constexpr uint32_t kDefaultRing = 1024;
constexpr double kLargestRing = 8 << 20;
constexpr uint32_t kDefaultMaglev = 65537;
constexpr uint32_t kLargestMaglev = 5000011;  // Envoy's bound

class Ring : public HashTable {
 public:
  Ring(const std::vector<HashedHost>& hosts, uint32_t minimum_size) {
    double sum = 0;
    double lightest = 0;
    for (const HashedHost& host : hosts) {
      sum += host.weight;
      lightest = lightest == 0 ? host.weight : std::min<double>(lightest, host.weight);
    }
    // Large enough that the lightest host has a whole number of points.
    const double share = lightest / sum;
    const double scale = std::min(std::ceil(share * minimum_size) / share, kLargestRing);
    double wanted = 0;
    for (uint32_t i = 0; i < hosts.size(); ++i) {
      wanted += hosts[i].weight / sum * scale;
      for (size_t copy = 0; static_cast<double>(points_.size()) < wanted; ++copy)
        points_.push_back({hash64(fmt::format("{}_{}", hosts[i].key, copy)), i});
    }
    std::sort(points_.begin(), points_.end());
  }
  size_t at(uint64_t hash) const override {
    const auto point =
        std::lower_bound(points_.begin(), points_.end(), std::pair<uint64_t, uint32_t>{hash, 0});
    return point == points_.end() ? points_.front().second : point->second;
  }
  // A point has what lies between it and the one before; the first also what lies behind the last.
  std::vector<double> shares(size_t hosts) const override {
    std::vector<double> out(hosts);
    uint64_t before = 0;
    for (const auto& [hash, host] : points_) {
      out[host] += static_cast<double>(hash - before) * 0x1p-64;
      before = hash;
    }
    out[points_.front().second] += static_cast<double>(UINT64_MAX - before) * 0x1p-64;
    return out;
  }

 private:
  std::vector<std::pair<uint64_t, uint32_t>> points_;
};

// Maglev (NSDI 2016, section 3.4): each host walks the table in its own permutation and takes the next free
// entry in turn; a lighter host skips turns.
class Maglev : public HashTable {
 public:
  Maglev(const std::vector<HashedHost>& hosts, uint32_t size) : table_(size, kFree) {
    struct Walk {
      uint64_t offset, skip, step = 0;
      double weight, credit = 0;
    };
    std::vector<Walk> walks;
    double heaviest = 0;
    for (const HashedHost& host : hosts) {
      const uint64_t hash = hash64(host.key);
      walks.push_back({hash % size, size > 1 ? mix64(hash ^ 1) % (size - 1) + 1 : 0, 0,
                       static_cast<double>(host.weight)});
      heaviest = std::max<double>(heaviest, host.weight);
    }
    for (uint32_t filled = 0; filled < size;) {
      for (uint32_t i = 0; i < walks.size() && filled < size; ++i) {
        Walk& walk = walks[i];
        walk.credit += walk.weight / heaviest;
        if (walk.credit < 1) continue;
        walk.credit -= 1;
        uint64_t entry = 0;
        do entry = (walk.offset + walk.skip * walk.step++) % size;
        while (table_[entry] != kFree);
        table_[entry] = i;
        ++filled;
      }
    }
  }
  size_t at(uint64_t hash) const override { return table_[hash % table_.size()]; }
  std::vector<double> shares(size_t hosts) const override {
    std::vector<double> out(hosts);
    for (const uint32_t host : table_) out[host] += 1.0 / static_cast<double>(table_.size());
    return out;
  }

 private:
  static constexpr uint32_t kFree = UINT32_MAX;
  std::vector<uint32_t> table_;
};

bool is_prime(uint32_t number) {
  for (uint32_t divisor = 2; uint64_t{divisor} * divisor <= number; ++divisor)
    if (number % divisor == 0) return false;
  return number > 1;
}

}  // namespace

std::unique_ptr<HashTable> make_ring(const std::vector<HashedHost>& hosts, uint32_t minimum_size) {
  return std::make_unique<Ring>(hosts, minimum_size == 0 ? kDefaultRing : minimum_size);
}

std::unique_ptr<HashTable> make_maglev(const std::vector<HashedHost>& hosts, uint32_t size) {
  size = size == 0 ? kDefaultMaglev : std::min(size, kLargestMaglev);
  // A walk visits every entry only when the size is prime.
  while (!is_prime(size)) ++size;
  return std::make_unique<Maglev>(hosts, size);
}

}  // namespace sockmesh::upstream
