// Random: a small fast generator (SplitMix64) for draws among hosts and routes; and the 64-bit hash that
// consistent hashing uses. Not for secrets. One per worker; not thread-safe.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/arithmetic.h"
#include "base/fnv1a.h"

namespace sockmesh::upstream {

SOCKMESH_WRAPS inline uint64_t mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// Finished by mix64 so that keys differing in the last byte land far apart on a ring.
inline uint64_t hash64(std::string_view text) { return mix64(fnv1a(text)); }

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  SOCKMESH_WRAPS uint64_t next() { return mix64(state_ += 0x9e3779b97f4a7c15ull); }
  // Uniform in 0..bound-1; `bound` is not 0.
  uint64_t below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<__uint128_t>(next()) * bound) >> 64);
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // [0, 1)

 private:
  uint64_t state_;
};

}  // namespace sockmesh::upstream
