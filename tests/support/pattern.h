// The bytes test streams are made of: pseudo-random, and a pure function of a stream's id and the offset in
// it. So a receiver can tell at which byte a stream went wrong, and bytes of another flow or another place
// never pass for the right ones. Pure, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/arithmetic.h"

namespace sockmesh::test {

// Fills `out` with the bytes of stream `id` from `offset` on.
void fill_pattern(uint64_t id, uint64_t offset, std::span<std::byte> out);

// The index in `data` of the first byte that is not stream `id`'s at `offset` + index.
std::optional<size_t> first_mismatch(uint64_t id, uint64_t offset, std::span<const std::byte> data);

// A good 64-bit hash (splitmix64): makes ids from small numbers.
SOCKMESH_WRAPS constexpr uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15ull;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

}  // namespace sockmesh::test
