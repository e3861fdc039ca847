// How spliced flows end other than by FIN, and what happens to them when lane 1 is switched off and on.
#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "sockmap_world.h"
#include "test_support/eventually.h"
#include "test_support/scenarios.h"

using namespace sockmesh;
using namespace sockmesh::test;
using datapath::CloseReason;
using datapath::Lane;
using datapath::RelayOptions;
using datapath::SpliceWish;
using std::chrono::milliseconds;

namespace {

constexpr auto kDeadline = std::chrono::seconds(20);

}  // namespace

TEST_CASE("aborting resets both sides and tells") {
  SockmapWorld world;
  auto flow = world.open();
  say(flow.client, flow.server, "hello");
  world.abort(flow.flow);
  const auto outcome = world.wait_for_outcome(flow.flow);
  CHECK(outcome.reason == CloseReason::kAborted);
  CHECK(outcome.progress.received() == 5);
  CHECK(was_reset(flow.client));
  CHECK(was_reset(flow.server));
}

TEST_CASE("destroying resets both sides and tells nobody") {
  SockmapWorld world;
  auto flow = world.open();
  say(flow.client, flow.server, "hello");
  world.destroy(flow.flow);
  CHECK(was_reset(flow.client));
  CHECK(was_reset(flow.server));
  CHECK_FALSE(world.outcome(flow.flow));
  CHECK(world.maps().stats().slots_used == 0);
}

TEST_CASE("a reset on one side is a reset on the other") {
  SockmapWorld world;
  const bool by_client = GENERATE(true, false);
  auto flow = world.open();
  say(flow.client, flow.server, "hello");
  Fd& leaver = by_client ? flow.client : flow.server;
  const linger now{1, 0};
  setsockopt(leaver.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  leaver.reset();
  CHECK(was_reset(by_client ? flow.server : flow.client));
  CHECK(world.wait_for_outcome(flow.flow).reason ==
        (by_client ? CloseReason::kDownstreamReset : CloseReason::kUpstreamReset));
}

// A kernel worker that writes to a reset socket takes its error and puts it back a moment later. Who asks in
// between is told of none, and recv() says that the stream has ended.
TEST_CASE("a reset whose error is just being told to somebody else is a reset all the same") {
  SockmapWorld world;
  const bool by_client = GENERATE(true, false), ipv6 = GENERATE(false, true),
             said_fin = GENERATE(false, true);
  auto legs = SockmapWorld::connect(ipv6);
  const int left = (by_client ? legs.sockets.downstream : legs.sockets.upstream).get();
  const size_t flow = world.relay(std::move(legs.sockets), SpliceWish::kAlways, {});
  say(legs.client, legs.server, "hello");
  Fd& leaver = by_client ? legs.client : legs.server;
  Fd& stays = by_client ? legs.server : legs.client;
  if (said_fin) {
    REQUIRE(shutdown(leaver.get(), SHUT_WR) == 0);
    char byte;
    REQUIRE(recv(stays.get(), &byte, 1, 0) == 0);
  }
  world.run([&] {
    const linger now{1, 0};
    setsockopt(leaver.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    leaver.reset();
    pollfd reset{left, 0, 0};
    REQUIRE(poll(&reset, 1, 10'000) == 1);
    int error = 0;
    socklen_t size = sizeof error;
    REQUIRE(getsockopt(left, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
    REQUIRE(error != 0);
  });
  CHECK(world.wait_for_outcome(flow).reason ==
        (by_client ? CloseReason::kDownstreamReset : CloseReason::kUpstreamReset));
  if (!said_fin) CHECK(was_reset(stays));
  CHECK(world.lane().counters().stats().lanes[Lane::kSkSkb].stuck == 0);
}

TEST_CASE("the idle timeout is counted from the last byte, redirected bytes included") {
  SockmapWorld world;
  RelayOptions options;
  options.idle_timeout = milliseconds(400);
  auto flow = world.open(false, SpliceWish::kAlways, options);
  const auto start = std::chrono::steady_clock::now();
  auto last = start;
  while (last - start < milliseconds(1000)) {
    last = std::chrono::steady_clock::now();
    say(flow.client, flow.server, "ping");
    // The rhythm of the traffic is what is tested here.
    std::this_thread::sleep_for(milliseconds(50));
  }
  REQUIRE_FALSE(world.outcome(flow.flow));
  const auto outcome = world.wait_for_outcome(flow.flow);
  const auto silent = std::chrono::steady_clock::now() - last;
  CHECK(outcome.reason == CloseReason::kIdleTimeout);
  CHECK(silent >= milliseconds(400));
  char byte;
  CHECK(recv(flow.client.get(), &byte, 1, 0) == 0);
  CHECK(recv(flow.server.get(), &byte, 1, 0) == 0);
}

TEST_CASE("the longest duration ends a busy flow") {
  SockmapWorld world;
  RelayOptions options;
  options.max_duration = milliseconds(300);
  const auto start = std::chrono::steady_clock::now();
  auto flow = world.open(false, SpliceWish::kAlways, options);
  while (!world.outcome(flow.flow)) {
    send(flow.client.get(), "x", 1, MSG_NOSIGNAL);
    REQUIRE(std::chrono::steady_clock::now() - start < patient(kDeadline));
    std::this_thread::sleep_for(milliseconds(5));
  }
  CHECK(world.outcome(flow.flow)->reason == CloseReason::kMaxDuration);
  CHECK(std::chrono::steady_clock::now() - start >= milliseconds(300));
}

TEST_CASE("switching lane 1 off and on in mid-flow keeps every byte") {
  SockmapWorld world;
  const bool for_the_process = GENERATE(false, true);
  const auto set = [&](bool enabled) {
    for_the_process ? world.maps().set_enabled(enabled) : world.lane().set_enabled(enabled);
    world.run([] {});
  };
  auto flow = world.open();
  const std::string question(3000, 'q'), answer(20'000, 'a');
  uint64_t spoken = 0;
  // The share of a conversation that the verdict moves.
  const auto spliced_share = [&] {
    const auto before = world.progress(flow.flow);
    for (int i = 0; i < 20; ++i) {
      say(flow.client, flow.server, question);
      say(flow.server, flow.client, answer);
      spoken += question.size();
    }
    const auto after = world.progress(flow.flow);
    const auto received = [](const datapath::Progress& from) { return from.moved[Lane::kSkSkb].received; };
    return static_cast<double>(received(after) - received(before)) /
           static_cast<double>(after.received() - before.received());
  };
  CHECK(spliced_share() == 1);
  CHECK(world.progress(flow.flow).lane == Lane::kSkSkb);
  set(false);
  CHECK(spliced_share() == 0);
  CHECK(world.progress(flow.flow).lane == Lane::kEpoll);
  set(true);
  CHECK(eventually([&] { return spliced_share() == 1; }));
  CHECK(world.progress(flow.flow).lane == Lane::kSkSkb);
  CHECK(world.progress(flow.flow).received() == spoken);
}

TEST_CASE("a bulk echo goes on while lane 1 is switched off and on under it") {
  SockmapWorld world;
  const FlowPlan plan = plan_flow(Scenario::kEcho, 7, 32 << 20);
  auto flow = world.open();
  StreamEnd client(std::move(flow.client), plan.client), server(std::move(flow.server), plan.server);
  StreamEnd* const both[] = {&client, &server};
  bool enabled = true;
  uint64_t next_switch = 1 << 20;
  REQUIRE(drive(both, patient(kDeadline), [&] {
            if (client.report().received >= next_switch) {
              world.maps().set_enabled(enabled = !enabled);
              next_switch += 1 << 20;
            }
            return client.done() && server.done();
          }) == "");
  CHECK(world.wait_for_outcome(flow.flow).progress.received() == 32 << 20);
}

TEST_CASE("without a ring of its own a worker sees what was PASSed all the same") {
  SockmapWorld::Options options;
  options.maps.rings = 0;
  options.maps.limit_skbs = 0;  // so that all is PASSed
  SockmapWorld world(options);
  const FlowPlan plan = plan_flow(Scenario::kDuplex, 8, 8 << 20);
  auto flow = world.open();
  StreamEnd client(std::move(flow.client), plan.client), server(std::move(flow.server), plan.server);
  StreamEnd* const both[] = {&client, &server};
  REQUIRE(run_ends(both, patient(kDeadline)) == "");
  const auto progress = world.wait_for_outcome(flow.flow).progress;
  CHECK(progress.received() == 8 << 20);
  CHECK(progress.moved[datapath::Lane::kSkSkb].received == 0);
}

TEST_CASE("a flow that has ended is said to be of the lane that moved its bytes") {
  const bool talks = GENERATE(true, false);
  SockmapWorld::Options options;
  options.backend = event::Backend::kIoUring;
  SockmapWorld world(options);
  auto flow = world.open();
  if (talks) say(flow.client, flow.server, std::string(2000, 'q'));
  flow.client.reset();
  flow.server.reset();
  const auto outcome = world.wait_for_outcome(flow.flow);
  CHECK(outcome.reason == CloseReason::kFinished);
  CHECK(outcome.progress.received() == (talks ? 2000 : 0));
  CHECK(outcome.progress.lane == (talks ? Lane::kSkSkb : Lane::kIoUring));
}

TEST_CASE("in mode auto a talking flow is spliced") {
  SockmapWorld world;
  auto talk = world.open(false, SpliceWish::kMeasured);
  uint64_t spoken = 0;
  CHECK(eventually([&] {
    say(talk.client, talk.server, std::string(2000, 'q'));
    say(talk.server, talk.client, std::string(9000, 'a'));
    spoken += 2000;
    return world.progress(talk.flow).lane == Lane::kSkSkb;
  }));
  const auto progress = world.progress(talk.flow);
  CHECK(progress.lane_reason == "spliced: an established flow");
  CHECK(progress.received() == spoken);
}
