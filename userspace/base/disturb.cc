#include "base/disturb.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <thread>

#include "base/strings.h"

namespace sockmesh {

namespace {

Disturbance wanted;  // constant once `on` is set

// Splitmix64, one for each thread: which thread gets which number is the scheduler's, all else the seed's.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    __extension__ using Wide = unsigned __int128;
    state_ = static_cast<uint64_t>(Wide{state_} + 0x9e3779b97f4a7c15);
    uint64_t value = state_;
    value = static_cast<uint64_t>(Wide{value ^ (value >> 30)} * 0xbf58476d1ce4e5b9);
    value = static_cast<uint64_t>(Wide{value ^ (value >> 27)} * 0x94d049bb133111eb);
    return value ^ (value >> 31);
  }
  bool percent(uint32_t share) { return next() % 100 < share; }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // [0, 1)

 private:
  uint64_t state_;
};

Random& mine() {
  static std::atomic<uint64_t> threads{0};
  thread_local Random random((wanted.seed << 16) ^ ++threads);
  return random;
}

Result<uint32_t> parse_percent(std::string_view word, std::string_view text) {
  const auto number =
      text.ends_with('%') ? parse_number<uint32_t>(text.substr(0, text.size() - 1)) : std::nullopt;
  if (!number || *number > 100) return fail("'{}': expected a share, 0% to 100%", word);
  return *number;
}

Result<void> take(std::string_view word, Disturbance& disturbance) {
  const size_t equals = word.find('=');
  const std::string_view key = word.substr(0, equals);
  const std::string_view value = equals == word.npos ? "" : word.substr(equals + 1);
  if (key == "seed") {
    const auto seed = parse_number<uint64_t>(value);
    if (!seed) return fail("'{}': expected a number", word);
    disturbance.seed = *seed;
  } else if (key == "delay") {
    SOCKMESH_TRY(percent, parse_percent(word, value));
    disturbance.delay_percent = percent;
  } else if (key == "longest") {
    const auto longest = parse_duration(value);
    if (!longest || *longest < std::chrono::microseconds(1) || *longest > std::chrono::seconds(1))
      return fail("'{}': expected a duration, 1us to 1s", word);
    disturbance.longest_delay = *longest;
  } else if (key == "flip") {
    SOCKMESH_TRY(percent, parse_percent(word, value));
    disturbance.flip_percent = percent;
  } else if (key == "stall") {
    SOCKMESH_TRY(percent, parse_percent(word, value));
    disturbance.stall_percent = percent;
  } else if (key == "limit") {
    const auto limit = parse_number<uint32_t>(value);
    if (!limit || *limit == 0 || *limit > 1'000'000)
      return fail("'{}': expected a number, 1 to 1000000", word);
    disturbance.limit_segments = *limit;
  } else if (key == "only" && !value.empty()) {
    disturbance.only = value;
  } else {
    return fail("'{}': expected seed=N, delay=P%, longest=DURATION, flip=P%, stall=P%, limit=N or only=NAME",
                word);
  }
  return {};
}

}  // namespace

Result<Disturbance> parse_disturbance(std::string_view text) {
  Disturbance disturbance;
  for (const std::string_view word : split(text, ',')) SOCKMESH_CHECK(take(word, disturbance));
  return disturbance;
}

std::string to_string(const Disturbance& disturbance) {
  std::string text =
      fmt::format("seed={},delay={}%,longest={}us,flip={}%", disturbance.seed, disturbance.delay_percent,
                  std::chrono::duration_cast<std::chrono::microseconds>(disturbance.longest_delay).count(),
                  disturbance.flip_percent);
  if (disturbance.stall_percent > 0) text += fmt::format(",stall={}%", disturbance.stall_percent);
  if (disturbance.limit_segments > 0) text += fmt::format(",limit={}", disturbance.limit_segments);
  if (!disturbance.only.empty()) text += ",only=" + disturbance.only;
  return text;
}

void disturb_from_now_on(const Disturbance& disturbance) {
  wanted = disturbance;
  disturbance::on = true;
}

namespace disturbance {

bool on = false;

void delay(const char* moment) {
  if (!wanted.only.empty() && wanted.only != moment) return;
  Random& random = mine();
  if (!random.percent(wanted.delay_percent)) return;
  const int error = errno;  // of the step before, which the caller has yet to look at
  const double longest = std::chrono::duration<double, std::micro>(wanted.longest_delay).count();
  const double share = random.unit();
  const double drawn = random.percent(50) ? std::exp(share * std::log(longest)) : share * longest;
  const auto time = std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::micro>(drawn));
  // Who sleeps lets others run on this processor, kernel workers too; who spins keeps them waiting.
  if (random.percent(50)) {
    std::this_thread::sleep_for(time);
  } else {
    for (const MonotonicTime end = monotonic_now() + time; monotonic_now() < end;) {
    }
  }
  errno = error;
}

bool flip() { return mine().percent(wanted.flip_percent); }

Duration shorten(Duration wait) {
  if (wanted.flip_percent == 0) return wait;
  return std::min<Duration>(wait, std::chrono::milliseconds(1 + mine().next() % 20));
}

}  // namespace disturbance

}  // namespace sockmesh
