// Disturbance: bad luck made on purpose, for tools/stress. An agent started with --disturb SPEC lets random
// time pass at the moments where the kernel, a peer or another thread may change what was just read, and
// turns some of its own decisions round, so that what one flow in millions would meet is met by many. Each
// delay and each decision is one that could have come about by itself: a stream has to be exact all the same.
//
// Off, which it is unless asked for, a disturb() costs one predictable branch.
//
//   seed=N      what is random                            (1)
//   delay=P%    so many of the moments are delayed        (0%)
//   longest=D   and for how long at most; half of the delays are much shorter  (500us)
//   flip=P%     so many of the decisions are turned round (0%)
//   stall=P%    the verdict in the kernel is delayed at so many of its own steps, by `longest` at most  (0%)
//   limit=N     segments that may wait in the kernel for one socket of a spliced flow (64)
//   only=NAME   delays at the moments of this name alone
//
// Thread rule: disturb_from_now_on() once, before threads are made; everything else from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace sockmesh {

struct Disturbance {
  uint64_t seed = 1;
  uint32_t delay_percent = 0;
  Duration longest_delay = std::chrono::microseconds(500);  // at least 1 us, at most 1 s
  uint32_t flip_percent = 0;
  uint32_t stall_percent = 0;
  uint32_t limit_segments = 0;  // 0: as always
  std::string only;
};

// Words as above, separated by commas. An error quotes the word and says what was expected.
Result<Disturbance> parse_disturbance(std::string_view text);
std::string to_string(const Disturbance& disturbance);  // what parse_disturbance() takes

void disturb_from_now_on(const Disturbance& disturbance);

namespace disturbance {
extern bool on;
void delay(const char* moment);
bool flip();
Duration shorten(Duration wait);
}  // namespace disturbance

// A moment between two steps, named for `only`.
inline void disturb(const char* moment) {
  if (disturbance::on) [[unlikely]]
    disturbance::delay(moment);
}
// A decision that is right either way.
inline bool disturbed(bool decision) {
  if (disturbance::on) [[unlikely]]
    return decision != disturbance::flip();
  return decision;
}
// How long until something is looked at again: at random between a millisecond and 20, where that is less.
inline Duration disturbed(Duration wait) {
  if (disturbance::on) [[unlikely]]
    return disturbance::shorten(wait);
  return wait;
}

}  // namespace sockmesh
