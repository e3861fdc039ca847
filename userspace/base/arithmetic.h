// Differences of counters. Two readings are never one: whatever is read at another moment, by another thread
// or of another counter can have gone on, and a difference without sign then is about 2^64 instead of a
// little below 0. So a difference of readings is proven at its place, or taken with excess(). Pure, any
// thread.
#pragma once

#include <concepts>

// For functions in which wrapping around is meant: hashes, random numbers, sequence numbers. Elsewhere
// clang's unsigned-integer-overflow sanitizer (preset asan) ends the program.
#if defined(__clang__)
#define SOCKMESH_WRAPS __attribute__((no_sanitize("unsigned-integer-overflow")))
#else
#define SOCKMESH_WRAPS
#endif

namespace sockmesh {

// How much `a` exceeds `b`; 0 when it does not.
template <std::unsigned_integral T>
constexpr T excess(T a, T b) {
  return a > b ? a - b : 0;
}

}  // namespace sockmesh
