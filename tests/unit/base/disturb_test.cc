#include "base/disturb.h"

#include <catch2/catch.hpp>

using namespace sockmesh;
using namespace std::chrono_literals;

TEST_CASE("a disturbance as text and back") {
  const auto all = parse_disturbance("seed=7,delay=20%,longest=2ms,flip=50%,stall=9%,limit=4,only=outq");
  REQUIRE(all);
  CHECK(all->seed == 7);
  CHECK(all->delay_percent == 20);
  CHECK(all->longest_delay == 2ms);
  CHECK(all->flip_percent == 50);
  CHECK(all->limit_segments == 4);
  CHECK(all->only == "outq");
  CHECK(to_string(*all) == "seed=7,delay=20%,longest=2000us,flip=50%,stall=9%,limit=4,only=outq");
  CHECK(to_string(*parse_disturbance(to_string(*all))) == to_string(*all));
  CHECK(to_string(*parse_disturbance("delay=3%")) == "seed=1,delay=3%,longest=500us,flip=0%");
}

TEST_CASE("a bad disturbance is refused with the word that is wrong") {
  for (const char* text : {"", "delay", "delay=5", "delay=101%", "flip=x%", "longest=2s", "longest=0s",
                           "seed=-1", "only=", "stall=2", "limit=0", "limit=x", "noise=3%", "delay=3%,"}) {
    INFO(text);
    const auto refused = parse_disturbance(text);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("expected") != std::string::npos);
  }
  CHECK(parse_disturbance("delay=3%,flip=200%").error().message ==
        "'flip=200%': expected a share, 0% to 100%");
}

// Last, since what is on stays on: a process is disturbed for its whole life.
TEST_CASE("nothing is disturbed until it is asked for, and then as much as is asked for") {
  CHECK_FALSE(disturbance::on);
  for (int i = 0; i < 1000; ++i) {
    CHECK(disturbed(true));
    CHECK(disturbed(Duration(5s)) == 5s);
  }
  disturb_from_now_on(
      {.seed = 3, .delay_percent = 100, .longest_delay = 1us, .flip_percent = 50, .only = "here"});
  int turned = 0;
  for (int i = 0; i < 1000; ++i) {
    turned += disturbed(true) ? 0 : 1;
    const Duration wait = disturbed(Duration(5s));
    CHECK(wait >= 1ms);
    CHECK(wait <= 20ms);
    CHECK(disturbed(Duration(500us)) == 500us);
    disturb("elsewhere");
  }
  CHECK(turned > 400);
  CHECK(turned < 600);
  errno = EAGAIN;
  disturb("here");
  CHECK(errno == EAGAIN);
}
