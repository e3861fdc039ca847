// The layout that the BPF programs and user space agree on. A change here changes a shared-memory format:
// both sides are built together, so change the numbers with it.
#include <catch2/catch.hpp>
#include <cstddef>

#include "intf/splice.h"

static_assert(sizeof(splice_direction) == 64, "one cache line a direction");
static_assert(offsetof(splice_direction, cookie) == 0);
static_assert(offsetof(splice_direction, user_word) == 8);
static_assert(offsetof(splice_direction, redirected) == 16);
static_assert(offsetof(splice_direction, passed) == 24);
static_assert(offsetof(splice_direction, target) == 32);
static_assert(offsetof(splice_direction, ring) == 36);
static_assert(offsetof(splice_direction, next_seq) == 40);
static_assert(offsetof(splice_direction, base_seq) == 44);
static_assert(offsetof(splice_direction, credit) == 48);
static_assert(offsetof(splice_direction, credit_skbs) == 52);
static_assert(offsetof(splice_direction, state) == 54);
static_assert(offsetof(splice_direction, pass_reason) == 55);
static_assert(offsetof(splice_direction, promised) == 56);
static_assert(offsetof(splice_direction, urgent_at) == 60);

static_assert(sizeof(splice_control) == 16 + 7 * 8 + 4 * SPLICE_MAX_RINGS);
static_assert(offsetof(splice_control, trimmed_skbs) == 16);
static_assert(offsetof(splice_control, lost) == 72);
static_assert(sizeof(splice_event) == 8, "the ring's records are 16 bytes, header included");

TEST_CASE("the armed bit and the count share a word without overlap") {
  CHECK((SPLICE_ARMED & SPLICE_COUNT_MASK) == 0);
  CHECK((SPLICE_ARMED | SPLICE_COUNT_MASK) == UINT64_MAX);
}

TEST_CASE("the largest segment's cost fits the credit counter") {
  constexpr __s32 kLargest = 4 << 20;  // BIG TCP's limit is far below
  CHECK(SPLICE_COST(kLargest) > 0);
}
