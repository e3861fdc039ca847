#include "upstream/outlier.h"

#include <catch2/catch.hpp>

using namespace sockmesh;
using namespace sockmesh::upstream;
using namespace std::chrono_literals;

namespace {

const MonotonicTime kNow = MonotonicTime(10h);

HostList some_hosts(size_t count) {
  HostList hosts(count);
  for (Host& host : hosts) host.state = std::make_shared<HostState>(MonotonicTime{});
  return hosts;
}

// Fails connects to hosts[index] until something is ejected or `limit` is reached; returns how many it took.
int fail_until_ejected(const model::OutlierDetection& settings, HostList& hosts, size_t index,
                       MonotonicTime now, int limit = 20) {
  for (int i = 1; i <= limit; ++i)
    if (record(settings, hosts, *hosts[index].state, false, now)) return i;
  return 0;
}

}  // namespace

TEST_CASE("five failed connects in a row eject one host of ten") {
  auto hosts = some_hosts(10);
  CHECK(fail_until_ejected({}, hosts, 3, kNow) == 5);
  CHECK(hosts[3].state->ejected(kNow + 29s));
  CHECK_FALSE(hosts[3].state->ejected(kNow + 30s));
  CHECK_FALSE(hosts[2].state->ejected(kNow));
}

TEST_CASE("with fewer than ten hosts the default ejects nobody") {
  auto hosts = some_hosts(9);
  CHECK(fail_until_ejected({}, hosts, 0, kNow) == 0);
  model::OutlierDetection half;
  half.max_ejection_percent = 50;
  auto two = some_hosts(2);
  CHECK(fail_until_ejected(half, two, 0, kNow) == 5);
  CHECK(fail_until_ejected(half, two, 1, kNow) == 0);  // the other one stays
}

TEST_CASE("a success begins the count anew") {
  auto hosts = some_hosts(10);
  for (int i = 0; i < 4; ++i) CHECK_FALSE(record({}, hosts, *hosts[0].state, false, kNow));
  CHECK_FALSE(record({}, hosts, *hosts[0].state, true, kNow));
  CHECK(fail_until_ejected({}, hosts, 0, kNow) == 5);
}

TEST_CASE("which limit counts depends on the split") {
  model::OutlierDetection settings;
  settings.consecutive_5xx = 0;
  settings.consecutive_local_origin = 2;
  auto hosts = some_hosts(10);
  CHECK(fail_until_ejected(settings, hosts, 0, kNow) == 0);
  settings.split_external_local_origin = true;
  CHECK(fail_until_ejected(settings, hosts, 0, kNow) == 2);
  settings.split_external_local_origin = false;
  settings.consecutive_gateway = 3;
  CHECK(fail_until_ejected(settings, hosts, 1, kNow + 1h) == 3);
}

TEST_CASE("ejections in a row grow longer, up to the maximum, and are forgiven in time") {
  auto hosts = some_hosts(10);
  fail_until_ejected({}, hosts, 0, kNow);
  auto back = kNow + 30s;
  fail_until_ejected({}, hosts, 0, back);
  CHECK(hosts[0].state->ejected(back + 59s));
  CHECK_FALSE(hosts[0].state->ejected(back + 60s));
  back += 60s + 20s;  // two quiet intervals forgive both
  fail_until_ejected({}, hosts, 0, back);
  CHECK_FALSE(hosts[0].state->ejected(back + 30s));

  CHECK(ejection_time({}, 3) == 90s);
  CHECK(ejection_time({}, 1000000) == 300s);
  CHECK(forgiven({}, 3, 5s) == 3);
  CHECK(forgiven({}, 3, 25s) == 1);
  CHECK(forgiven({}, 3, 1h) == 0);
}

TEST_CASE("an ejected host is not ejected again while it is out") {
  auto hosts = some_hosts(10);
  REQUIRE(fail_until_ejected({}, hosts, 0, kNow) == 5);
  CHECK(fail_until_ejected({}, hosts, 0, kNow + 1s) == 0);
}
