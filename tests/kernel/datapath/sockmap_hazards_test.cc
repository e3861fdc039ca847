// The ways in which sockmap loses, repeats, swaps or hoards bytes when used naively (bpf/README.md), each
// through a whole relay.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "sockmap_world.h"
#include "test_support/eventually.h"
#include "test_support/scenarios.h"

using namespace sockmesh;
using namespace sockmesh::test;
using datapath::CloseReason;
using datapath::SpliceWish;

namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr auto kDeadline = std::chrono::seconds(20);

// Both ends of one flow, driven together.
struct Conversation {
  StreamEnd client, server;
  size_t flow;
  Conversation(SockmapWorld::Ends ends, const FlowPlan& plan)
      : client(std::move(ends.client), plan.client),
        server(std::move(ends.server), plan.server),
        flow(ends.flow) {}
  std::string run() {
    StreamEnd* const both[] = {&client, &server};
    return run_ends(both, patient(kDeadline));
  }
  std::string run_until(const std::function<bool()>& condition) {
    StreamEnd* const both[] = {&client, &server};
    return drive(both, patient(kDeadline), condition);
  }
};

// Runs until neither side gets anything away for a while.
void run_until_blocked(Conversation& flow) {
  auto last_change = std::chrono::steady_clock::now();
  uint64_t seen = 0;
  REQUIRE(flow.run_until([&] {
    const uint64_t now = flow.client.report().sent + flow.server.report().sent;
    if (now != seen) last_change = std::chrono::steady_clock::now();
    seen = now;
    return std::chrono::steady_clock::now() - last_change > std::chrono::milliseconds(300);
  }) == "");
}

}  // namespace

TEST_CASE("a reader that stalls after a fast start costs a bounded number of bytes") {
  SockmapWorld world;
  FlowPlan plan = plan_flow(Scenario::kUpload, 1, 80 * kMiB);
  plan.server.stall_after = 32 * kMiB;  // fast enough for long enough that buffers have grown
  Conversation flow(world.open(), plan);
  REQUIRE(flow.run_until([&] { return flow.server.holding(); }) == "");
  run_until_blocked(flow);
  // The client's own send queue and the server's receive queue are theirs, whoever is in between.
  int client_queue = 0, server_queue = 0;
  ioctl(flow.client.fd(), TIOCOUTQ, &client_queue);
  ioctl(flow.server.fd(), FIONREAD, &server_queue);
  const uint64_t held = flow.client.report().sent - flow.server.report().received -
                        static_cast<uint64_t>(client_queue) - static_cast<uint64_t>(server_queue);
  INFO("held " << held / 1024 << " KiB, client's queue " << client_queue / 1024 << " KiB, server's "
               << server_queue / 1024 << " KiB");
  CHECK(held < 8 * kMiB);
  flow.server.resume();
  REQUIRE(flow.run() == "");
  CHECK(world.wait_for_outcome(flow.flow).progress.received() == 80 * kMiB);
}

TEST_CASE("FIN right behind megabytes to a slow reader does not cut the tail off") {
  SockmapWorld world;
  FlowPlan plan = plan_flow(Scenario::kUpload, 2, 24 * kMiB);
  plan.server.read_chunk = 1 << 20;
  plan.server.read_pause_ms = 3;
  Conversation flow(world.open(), plan);
  REQUIRE(flow.run() == "");
  const auto outcome = world.wait_for_outcome(flow.flow);
  CHECK(outcome.reason == CloseReason::kFinished);
  CHECK(outcome.progress.received() == 24 * kMiB);
}

TEST_CASE("a client that reads only after its upload does not deadlock with a talking server") {
  SockmapWorld world;
  FlowPlan plan = plan_flow(Scenario::kDuplex, 3, 24 * kMiB);
  plan.client.stall_after = 0;
  Conversation flow(world.open(), plan);
  REQUIRE(flow.run_until([&] { return flow.server.report().received == 24 * kMiB; }) == "");
  flow.client.resume();
  REQUIRE(flow.run() == "");
}

TEST_CASE("both readers stall, then both go on") {
  SockmapWorld world;
  FlowPlan plan = plan_flow(Scenario::kDuplex, 4, 40 * kMiB);
  plan.client.stall_after = plan.server.stall_after = 2 * kMiB;
  Conversation flow(world.open(), plan);
  run_until_blocked(flow);
  CHECK(flow.client.report().sent < 40 * kMiB);
  flow.client.resume();
  flow.server.resume();
  REQUIRE(flow.run() == "");
}

// What was redirected towards a reset socket stays in its queue, and what it PASSed behind that may never
// come.
TEST_CASE("both readers stall, then one side is reset: the flow ends, and what arrives is right") {
  SockmapWorld world;
  FlowPlan plan = plan_flow(Scenario::kDuplex, 8, 40 * kMiB);
  plan.client.stall_after = plan.server.stall_after = 2 * kMiB;
  plan.client.peer_resets = true;
  Conversation flow(world.open(), plan);
  run_until_blocked(flow);
  flow.server.give_up("");  // with bytes unread: RST
  const auto outcome = world.wait_for_outcome(flow.flow);
  CHECK(outcome.reason == CloseReason::kUpstreamReset);
  CHECK(outcome.progress.sent() >= 2 * kMiB);
  flow.client.resume();
  StreamEnd* const client[] = {&flow.client};
  CHECK(run_ends(client, patient(kDeadline)) == "");
  CHECK(flow.client.report().reset);
  CHECK(flow.client.report().received <= outcome.progress.sent());
}

TEST_CASE("bytes that came before the relay are delivered first") {
  SockmapWorld world;
  auto legs = SockmapWorld::connect();
  FlowPlan plan = plan_flow(Scenario::kDuplex, 5, 300'000);
  plan.client.hold_at = 90'000;
  StreamEnd client(std::move(legs.client), plan.client), server(std::move(legs.server), plan.server);
  StreamEnd* const both[] = {&client, &server};
  REQUIRE(drive(both, patient(kDeadline), [&] { return client.report().sent == 90'000; }) == "");
  const size_t flow = world.relay(std::move(legs.sockets), SpliceWish::kAlways);
  REQUIRE(drive(both, patient(kDeadline), [&] { return server.report().received == 90'000; }) == "");
  client.resume();
  REQUIRE(run_ends(both, patient(kDeadline)) == "");
  CHECK(world.wait_for_outcome(flow).progress.received() == 300'000);
}

TEST_CASE("a side that ended before the relay began leaves the flow to lane 0") {
  SockmapWorld world;
  const bool client_ends = GENERATE(true, false);
  auto legs = SockmapWorld::connect();
  FlowPlan plan = plan_flow(client_ends ? Scenario::kUpload : Scenario::kServerHalfClose, 6, 50'000);
  StreamEnd client(std::move(legs.client), plan.client), server(std::move(legs.server), plan.server);
  StreamEnd* const both[] = {&client, &server};
  StreamEnd& first = client_ends ? client : server;
  REQUIRE(drive(both, patient(kDeadline), [&] { return first.report().sent == 50'000; }) == "");
  // TCP has the FIN when the relay's socket reads as ended behind the bytes.
  const int socket = (client_ends ? legs.sockets.downstream : legs.sockets.upstream).get();
  StreamEnd* const one[] = {&first};
  REQUIRE(drive(one, patient(kDeadline), [&] {
            tcp_info info{};
            socklen_t size = sizeof info;
            getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size);
            return info.tcpi_state == TCP_CLOSE_WAIT;
          }) == "");
  const size_t flow = world.relay(std::move(legs.sockets), SpliceWish::kAlways);
  REQUIRE(run_ends(both, patient(kDeadline)) == "");
  const auto outcome = world.wait_for_outcome(flow);
  CHECK(outcome.reason == CloseReason::kFinished);
  CHECK(outcome.progress.moved[datapath::Lane::kSkSkb].received == 0);
  INFO(outcome.progress.lane_reason);
  CHECK(outcome.progress.lane_reason.find("not established any more") != std::string::npos);
  CHECK(world.lane().counters().stats().lanes[datapath::Lane::kSkSkb].refused == 1);
  CHECK(outcome.progress.received() == client.report().sent);
  CHECK(outcome.progress.sent() == server.report().sent);
}
