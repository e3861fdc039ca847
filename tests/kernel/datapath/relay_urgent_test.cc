// Urgent data (MSG_OOB) is one byte that recv() leaves out of the stream. The relays leave it out too, in
// every lane alike, and the stream around it is what it would be on a direct connection.
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "relay_world.h"
#include "test_support/eventually.h"
#include "test_support/tcp_pair.h"

namespace sockmesh::test {

using datapath::CloseReason;
using datapath::Outcome;

namespace {

void put_urgent(const Fd& fd, char byte) { REQUIRE(send(fd.get(), &byte, 1, MSG_OOB | MSG_NOSIGNAL) == 1); }

// Says something with an urgent byte in it, once the reader has what came before it; what the reader has to
// read.
std::string say_urgently(const Fd& speaker, const Fd& reader, const std::string& before,
                         const std::string& after) {
  put(speaker, before);
  std::string got = get(reader, before.size());
  put_urgent(speaker, '!');
  put(speaker, after);
  return got + get(reader, after.size());
}

}  // namespace

TEST_CASE("a direct connection leaves the urgent byte out of the stream") {
  const bool ipv6 = GENERATE(false, true);
  auto [speaker, reader] = tcp_pair(ipv6);
  CHECK(say_urgently(speaker, reader, "ab", "cd") == "abcd");
  shutdown(speaker.get(), SHUT_WR);
  CHECK(wait_for_end(reader) == End::kFin);
}

TEST_CASE("relay matrix: the urgent byte is left out of the stream") {
  const auto cell = GENERATE(from_range(matrix()));
  const bool by_client = GENERATE(false, true);
  const auto before = GENERATE(std::string(), std::string("ab"), std::string(200'000, 'b'));
  INFO(describe(cell) << (by_client ? ", by the client, behind " : ", by the server, behind ")
                      << before.size() << " bytes");
  RelayWorld world(cell.lane);
  Legs legs = connect_legs(cell.ipv6);
  const size_t flow = world.relay(std::move(legs.sockets));
  const Fd &speaker = by_client ? legs.client : legs.server, &reader = by_client ? legs.server : legs.client;
  const std::string after(3000, 'c');
  CHECK(say_urgently(speaker, reader, before, after) == before + after);
  // Both directions go on, and once more.
  put(reader, "what?");
  CHECK(get(speaker, 5) == "what?");
  CHECK(say_urgently(speaker, reader, "once ", "more") == "once more");
  // Mode "sockmap" copies such a flow, and says so.
  if (cell.lane.mode == datapath::Mode::kSockmap) {
    CHECK(eventually(
        [&] { return world.progress(flow).lane_reason == "copied: the flow has sent urgent data"; }));
    CHECK(world.progress(flow).lane != datapath::Lane::kSkSkb);
  }
  for (const Fd* end : {&legs.client, &legs.server}) shutdown(end->get(), SHUT_WR);
  CHECK(wait_for_end(legs.client) == End::kFin);
  CHECK(wait_for_end(legs.server) == End::kFin);
  const Outcome outcome = world.wait_for_outcome(flow);
  const uint64_t spoken = before.size() + after.size() + 9;
  CHECK(outcome.reason == CloseReason::kFinished);
  CHECK(outcome.progress.received() == (by_client ? spoken : 5));
  CHECK(outcome.progress.sent() == (by_client ? 5 : spoken));
}

TEST_CASE("relay matrix: an urgent byte that was there before the relay, and one that is the last") {
  const auto cell = GENERATE(from_range(matrix()));
  INFO(describe(cell));
  RelayWorld world(cell.lane);
  Legs legs = connect_legs(cell.ipv6);
  put(legs.client, "ab");
  put_urgent(legs.client, '!');
  put(legs.client, "cd");
  const size_t flow = world.relay(std::move(legs.sockets));
  CHECK(get(legs.server, 4) == "abcd");
  put_urgent(legs.client, '!');
  shutdown(legs.client.get(), SHUT_WR);
  CHECK(wait_for_end(legs.server) == End::kFin);
  shutdown(legs.server.get(), SHUT_WR);
  CHECK(wait_for_end(legs.client) == End::kFin);
  const Outcome outcome = world.wait_for_outcome(flow);
  CHECK(outcome.reason == CloseReason::kFinished);
  CHECK(outcome.progress.received() == 4);
}

}  // namespace sockmesh::test
