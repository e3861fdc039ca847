// The thresholds, each with its reason.
#include "datapath/lane_policy.h"

#include <algorithm>

namespace sockmesh::datapath {

namespace {

// A flow that ends before this is not worth the eight system calls of an insertion.
constexpr uint64_t kYoungBytes = 16 * 1024;
constexpr Duration kYoungAge = std::chrono::milliseconds(200);

constexpr uint64_t kBulkBytesPerSecond = 64u << 20;
// A download has a request in front of it, and some protocols acknowledge: that is still bulk. A 16 KiB
// answer to a 64 byte question is not.
constexpr uint64_t kBulkRatio = 2000;

// From so many bulk transfers on, lane 1 moves more than the user lanes; from then on it is kept until only
// one is left, so that a transfer that pauses does not move all the others.
constexpr uint32_t kBulkTogether = 3;
constexpr uint32_t kBulkStillTogether = 2;

constexpr uint64_t kBusyBytesPerSecond = 64u << 10;
// Measured side by side (tools/bench): one exchange is faster in lane 1, 32 together are slower.
constexpr uint32_t kBusyTogether = 16;
// So long every flow of a burst takes to be counted as busy before the first of them is spliced.
constexpr Duration kSettled = std::chrono::milliseconds(50);

}  // namespace

Traffic classify(const TrafficSample& sample) {
  const uint64_t more = std::max(sample.from_downstream, sample.from_upstream);
  const uint64_t less = std::min(sample.from_downstream, sample.from_upstream);
  if (more == 0) return Traffic::kIdle;
  const double seconds = std::chrono::duration<double>(sample.interval).count();
  const bool fast = static_cast<double>(more) >= static_cast<double>(kBulkBytesPerSecond) * seconds;
  return fast && less * kBulkRatio < more ? Traffic::kBulk : Traffic::kMixed;
}

bool is_busy(const TrafficSample& sample) {
  const double seconds = std::chrono::duration<double>(sample.interval).count();
  const double rate = static_cast<double>(kBusyBytesPerSecond) * seconds;
  return classify(sample) == Traffic::kMixed &&
         static_cast<double>(sample.from_downstream + sample.from_upstream) >= rate;
}

LaneAdvice advise(SpliceWish wish, const FlowFacts& facts) {
  if (wish == SpliceWish::kAlways) return {true, "spliced: data path mode sockmap"};
  if (facts.traffic == Traffic::kBulk) {
    if (facts.held_up) return {false, "a bulk transfer to a slower reader is copied anyway"};
    const uint32_t enough = facts.redirecting ? kBulkStillTogether : kBulkTogether;
    if (facts.bulk_flows >= enough) return {true, "spliced: several bulk transfers at a time"};
    return {false, "a bulk transfer alone is faster in user space"};
  }
  if (facts.redirecting) return {true, "spliced: an established flow"};
  if (facts.age < kSettled || (facts.bytes < kYoungBytes && facts.age < kYoungAge))
    return {false, "too young to tell whether splicing pays"};
  if (facts.bytes == 0) return {false, "nothing to splice yet: no bytes so far"};
  if (facts.busy_flows >= kBusyTogether)
    return {false, "many busy exchanges at a time are faster in user space"};
  return {true, "spliced: an established flow"};
}

}  // namespace sockmesh::datapath
