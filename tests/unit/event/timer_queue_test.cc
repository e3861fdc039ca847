// TimerQueue against a plain list of deadlines.
#include "event/timer_queue.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

namespace sockmesh::event {

using std::chrono::milliseconds;

TEST_CASE("timers fire by deadline, each once, and only those that are due") {
  TimerQueue queue;
  std::mt19937 random(7);
  std::vector<int> fired;
  std::vector<std::unique_ptr<Timer>> timers;
  std::vector<int> delays;
  for (int i = 0; i < 200; ++i) {
    const int delay = static_cast<int>(random() % 1000) * 10;
    delays.push_back(delay);
    timers.push_back(queue.make([&fired, delay] { fired.push_back(delay); }));
    timers.back()->set(milliseconds(delay));
  }
  // Every third is cancelled, every fifth destroyed, every seventh armed anew.
  std::vector<int> expected;
  for (size_t i = 0; i < timers.size(); ++i) {
    if (i % 3 == 0) {
      timers[i]->cancel();
    } else if (i % 5 == 0) {
      timers[i].reset();
    } else {
      if (i % 7 == 0) timers[i]->set(milliseconds(delays[i]));
      if (delays[i] <= 5000) expected.push_back(delays[i]);
    }
  }
  std::sort(expected.begin(), expected.end());

  queue.run_due(monotonic_now() + milliseconds(5005));
  CHECK(fired == expected);
  REQUIRE(queue.next());
  CHECK(*queue.next() > monotonic_now() + milliseconds(4000));
  queue.run_due(monotonic_now() + milliseconds(20000));
  CHECK(std::is_sorted(fired.begin(), fired.end()));
  CHECK_FALSE(queue.next());
}

TEST_CASE("a timer may destroy itself and others, and may arm itself again") {
  TimerQueue queue;
  std::unique_ptr<Timer> self, victim, again;
  int fired = 0;
  bool victim_fired = false;
  self = queue.make([&, guard = std::make_shared<int>(1)] {
    self.reset();
    victim.reset();
    CHECK(*guard == 1);  // the callback outlives its timer until it returns
    ++fired;
  });
  victim = queue.make([&] { victim_fired = true; });
  again = queue.make([&] {
    ++fired;
    again->set(std::chrono::hours(1));
  });
  self->set(milliseconds(1));
  victim->set(milliseconds(2));
  again->set(milliseconds(3));
  queue.run_due(monotonic_now() + milliseconds(10));
  CHECK(fired == 2);
  CHECK_FALSE(victim_fired);
  CHECK(queue.next());
}

}  // namespace sockmesh::event
