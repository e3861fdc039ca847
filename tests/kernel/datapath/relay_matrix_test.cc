// The relay matrix: every lane this machine offers, over IPv4 and IPv6, through everything a flow may meet.
// Each case looks at the bytes of both applications, at what the relay counted and at the outcome it told,
// together.
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "relay_flows.h"
#include "test_support/eventually.h"
#include "test_support/skip.h"
#include "test_support/tcp_pair.h"

namespace sockmesh::test {

using datapath::CloseReason;
using datapath::Outcome;
using datapath::RelayOptions;
using std::chrono::milliseconds;

// A lane that is not there is not tested by any of the cases below, and they pass. So it is said.
TEST_CASE("relay matrix: every lane is there to be tested") {
  const std::string missing = missing_lanes();
  if (!missing.empty()) skip_lane(missing);
}

TEST_CASE("relay matrix: scenarios") {
  const auto cell = GENERATE(from_range(matrix()));
  INFO(describe(cell));
  const size_t descriptors = open_descriptors();
  {
    RelayWorld world(cell.lane);
    for (const Scenario scenario : all_scenarios()) {
      INFO(to_string(scenario));
      const bool slow = scenario == Scenario::kSlowReader;
      const uint64_t bytes = scenario == Scenario::kTinyWrites ? 3000 : slow ? 8 << 20 : 700'000;
      std::vector<Flow> flows;
      for (uint64_t i = 0; i < (slow ? 2u : 8u); ++i) {
        flows.push_back(make_flow(scenario, i, bytes, cell.ipv6));
        flows.back().number = world.relay(std::move(flows.back().sockets));
      }
      REQUIRE(run_flows(flows) == "");
      for (const Flow& flow : flows) {
        const Outcome outcome = world.wait_for_outcome(flow.number);
        INFO("flow " << flow.number << ": " << to_string(outcome.reason) << ", " << outcome.detail);
        if (scenario == Scenario::kClientReset || scenario == Scenario::kServerReset) {
          check_reset(flow, outcome, scenario);
        } else {
          check_finished(flow, outcome);
        }
        CHECK(world.outcomes_told(flow.number) == 1);
      }
    }
    CHECK(world.stats().flows_active == 0);
    CHECK(world.stats().lanes[datapath::Lane::kSkSkb].stuck == 0);
  }
  CHECK(eventually([&] { return open_descriptors() == descriptors; }));
}

TEST_CASE("relay matrix: bytes, FIN and all, that were there before the relay") {
  const auto cell = GENERATE(from_range(matrix()));
  INFO(describe(cell));
  RelayWorld world(cell.lane);
  std::vector<Flow> flows;
  flows.push_back(make_flow(Scenario::kUpload, 1, 60'000, cell.ipv6));
  flows.push_back(make_flow(Scenario::kDuplex, 2, 60'000, cell.ipv6));
  flows.push_back(make_flow(Scenario::kDownload, 3, 60'000, cell.ipv6));
  flows.push_back(make_flow(Scenario::kFinFirst, 4, 0, cell.ipv6));
  flows.push_back(make_flow(Scenario::kEcho, 5, 60'000, cell.ipv6));
  for (Flow& flow : flows) {
    for (StreamEnd* end : {flow.client.get(), flow.server.get()}) {
      for (int i = 0; i < 10; ++i) end->step();  // all it has to say before it hears anything
    }
  }
  for (Flow& flow : flows) flow.number = world.relay(std::move(flow.sockets));
  REQUIRE(run_flows(flows) == "");
  for (const Flow& flow : flows) check_finished(flow, world.wait_for_outcome(flow.number));
}

TEST_CASE("relay matrix: many flows at once") {
  const auto cell = GENERATE(from_range(matrix()));
  INFO(describe(cell));
  RelayWorld world(cell.lane);
  std::vector<Flow> flows;
  uint64_t bytes = 0;
  for (uint64_t i = 0; i < 250; ++i) {
    const auto scenario = i % 3 == 0 ? Scenario::kEcho : i % 3 == 1 ? Scenario::kDuplex : Scenario::kUpload;
    flows.push_back(make_flow(scenario, i, 20'000 + i * 100, cell.ipv6));
    flows.back().number = world.relay(std::move(flows.back().sockets));
  }
  REQUIRE(run_flows(flows) == "");
  for (const Flow& flow : flows) {
    const Outcome outcome = world.wait_for_outcome(flow.number);
    check_finished(flow, outcome);
    bytes += outcome.progress.received() + outcome.progress.sent();
  }
  const auto stats = world.stats();
  CHECK(stats.flows_total == flows.size());
  CHECK(stats.flows_active == 0);
  uint64_t counted = 0;
  for (const auto& lane : stats.lanes) counted += lane.bytes;
  CHECK(counted == bytes);
}

TEST_CASE("relay matrix: an RST of a silent side, also after its FIN") {
  const auto cell = GENERATE(from_range(matrix()));
  const bool by_client = GENERATE(true, false);
  const bool after_fin = GENERATE(false, true);
  INFO(describe(cell) << (by_client ? ", by the client" : ", by the server")
                      << (after_fin ? ", after FIN" : ""));
  RelayWorld world(cell.lane);
  Legs legs = connect_legs(cell.ipv6);
  const size_t flow = world.relay(std::move(legs.sockets));
  Fd& breaker = by_client ? legs.client : legs.server;
  Fd& peer = by_client ? legs.server : legs.client;
  put(breaker, "hello");
  REQUIRE(get(peer, 5) == "hello");
  if (after_fin) {
    shutdown(breaker.get(), SHUT_WR);
    REQUIRE(wait_for_end(peer) == End::kFin);
  }
  reset_close(breaker);
  const Outcome outcome = world.wait_for_outcome(flow);
  CHECK(outcome.reason == (by_client ? CloseReason::kDownstreamReset : CloseReason::kUpstreamReset));
  CHECK_FALSE(outcome.detail.empty());
  CHECK(outcome.progress.received() == (by_client ? 5 : 0));
  CHECK(outcome.progress.sent() == (by_client ? 0 : 5));
  if (after_fin) {
    // The stream it had read was complete; its own words find nobody.
    EVENTUALLY(send(peer.get(), "x", 1, MSG_NOSIGNAL) < 0);
  } else {
    CHECK(wait_for_end(peer) == End::kRst);
  }
}

// What a direct connection delivers, every lane has to deliver: the peer had it before the RST came.
TEST_CASE("relay matrix: last words followed at once by RST") {
  const auto cell = GENERATE(from_range(matrix()));
  const bool by_client = GENERATE(false, true);
  const bool abrupt = GENERATE(false, true);  // SO_LINGER 0; else a close with bytes unread
  const size_t size = GENERATE(6u, 25'000u);
  INFO(describe(cell) << (by_client ? ", by the client" : ", by the server") << (abrupt ? ", abrupt" : "")
                      << ", " << size << " bytes");
  RelayWorld world(cell.lane);
  const std::string words(size, 'w');
  for (int i = 0; i < 10; ++i) {
    Legs legs = connect_legs(cell.ipv6);
    const size_t flow = world.relay(std::move(legs.sockets));
    Fd& breaker = by_client ? legs.client : legs.server;
    Fd& peer = by_client ? legs.server : legs.client;
    put(peer, "unread");
    REQUIRE(wait_readable(breaker));
    put(breaker, words);
    abrupt ? reset_close(breaker) : breaker.reset();
    const Outcome outcome = world.wait_for_outcome(flow);
    CHECK(outcome.reason == (by_client ? CloseReason::kDownstreamReset : CloseReason::kUpstreamReset));
    CHECK(outcome.progress.received() == (by_client ? size : 6));
    CHECK(outcome.progress.sent() == (by_client ? 6 : size));
    CHECK(get(peer, size) == words);
    CHECK(wait_for_end(peer) == End::kRst);
  }
}

// A peer does not wait until there is a relay: it may be gone between the handshake and somebody's look.
TEST_CASE("relay matrix: a side that was reset before the relay began") {
  const auto cell = GENERATE(from_range(matrix()));
  const bool by_client = GENERATE(false, true);
  const bool after_fin = GENERATE(false, true);
  const std::string words = GENERATE("", "220 ready");
  INFO(describe(cell) << (by_client ? ", by the client" : ", by the server")
                      << (after_fin ? ", after FIN" : "") << ", " << words.size() << " bytes");
  RelayWorld world(cell.lane);
  Legs legs = connect_legs(cell.ipv6);
  Fd& breaker = by_client ? legs.client : legs.server;
  Fd& peer = by_client ? legs.server : legs.client;
  const int broken = (by_client ? legs.sockets.downstream : legs.sockets.upstream).get();
  put(breaker, words);
  put(peer, "hello");
  if (after_fin) shutdown(breaker.get(), SHUT_WR);
  reset_close(breaker);
  pollfd one{broken, 0, 0};
  EVENTUALLY((poll(&one, 1, 0) == 1 && (one.revents & POLLERR)));
  const size_t flow = world.relay(std::move(legs.sockets));
  const Outcome outcome = world.wait_for_outcome(flow);
  CHECK(outcome.reason == (by_client ? CloseReason::kDownstreamReset : CloseReason::kUpstreamReset));
  CHECK((by_client ? outcome.progress.received() : outcome.progress.sent()) == words.size());
  CHECK(get(peer, words.size()) == words);
  // After a FIN the stream was complete, and what the peer says finds nobody.
  const End end = wait_for_end(peer);
  CHECK((end == End::kRst || (after_fin && end == End::kFin)));
  CHECK(world.stats().lanes[datapath::Lane::kSkSkb].stuck == 0);
}

TEST_CASE("a direct connection delivers last words followed at once by RST") {
  const bool ipv6 = GENERATE(false, true);
  const bool abrupt = GENERATE(false, true);
  auto [breaker, peer] = tcp_pair(ipv6);
  const std::string words(25'000, 'w');
  put(peer, "unread");
  REQUIRE(wait_readable(breaker));
  put(breaker, words);
  abrupt ? reset_close(breaker) : breaker.reset();
  CHECK(get(peer, words.size()) == words);
  CHECK(wait_for_end(peer) == End::kRst);
}

TEST_CASE("relay matrix: idle timeout, restarted by any byte") {
  const auto cell = GENERATE(from_range(matrix()));
  INFO(describe(cell));
  RelayWorld world(cell.lane);
  Legs legs = connect_legs(cell.ipv6);
  const auto idle = patient(milliseconds(250));
  const size_t flow = world.relay(std::move(legs.sockets), {.idle_timeout = idle});
  const auto start = monotonic_now();
  MonotonicTime last_word = start;
  uint64_t rounds = 0;
  // Traffic for three timeouts' time: the flow stays.
  while (monotonic_now() - start < 3 * idle) {
    last_word = monotonic_now();
    put(legs.client, "p");
    REQUIRE(get(legs.server, 1) == "p");
    put(legs.server, "q");
    REQUIRE(get(legs.client, 1) == "q");
    ++rounds;
    poll(nullptr, 0, 5);
  }
  CHECK_FALSE(world.outcome(flow));
  const Outcome outcome = world.wait_for_outcome(flow);
  CHECK(monotonic_now() - last_word >= idle - milliseconds(20));
  CHECK(outcome.reason == CloseReason::kIdleTimeout);
  CHECK(outcome.progress.received() == rounds);
  CHECK(outcome.progress.sent() == rounds);
  CHECK(outcome.detail.empty());
  CHECK(wait_for_end(legs.client) == End::kFin);
  CHECK(wait_for_end(legs.server) == End::kFin);
}

TEST_CASE("relay matrix: maximum duration, of a busy flow") {
  const auto cell = GENERATE(from_range(matrix()));
  INFO(describe(cell));
  RelayWorld world(cell.lane);
  std::vector<Flow> flows;
  flows.push_back(make_flow(Scenario::kEcho, 1, 1ull << 40, cell.ipv6));
  Flow& flow = flows.front();
  const auto start = monotonic_now();
  flow.number = world.relay(std::move(flow.sockets), {.max_duration = milliseconds(150)});
  StreamEnd* ends[] = {flow.client.get(), flow.server.get()};
  run_ends(ends, patient(kFlowDeadline), [&] { return world.outcome(flow.number).has_value(); });
  const Outcome outcome = world.wait_for_outcome(flow.number);
  CHECK(monotonic_now() - start >= milliseconds(150));
  CHECK(outcome.reason == CloseReason::kMaxDuration);
  CHECK(outcome.progress.received() > 0);
  CHECK(outcome.progress.received() <= flow.client->report().sent);
}

TEST_CASE("relay matrix: aborted and destroyed in the middle") {
  const auto cell = GENERATE(from_range(matrix()));
  const bool destroyed = GENERATE(false, true);
  INFO(describe(cell) << (destroyed ? ", destroyed" : ", aborted"));
  const size_t descriptors = open_descriptors();
  {
    RelayWorld world(cell.lane);
    std::vector<Flow> flows;
    std::vector<StreamEnd*> ends;
    for (uint64_t i = 0; i < 10; ++i) {
      flows.push_back(make_flow(i % 2 ? Scenario::kEcho : Scenario::kDuplex, i, 1ull << 40, cell.ipv6));
      flows.back().number = world.relay(std::move(flows.back().sockets));
      ends.push_back(flows.back().client.get());
      ends.push_back(flows.back().server.get());
    }
    const auto moved = [&] {
      for (const Flow& flow : flows) {
        if (flow.client->report().received < 300'000) return false;
      }
      return true;
    };
    run_ends(ends, patient(kFlowDeadline), moved);
    REQUIRE(moved());
    for (const Flow& flow : flows) destroyed ? world.destroy(flow.number) : world.abort(flow.number);
    run_ends(ends, patient(kFlowDeadline));
    for (const Flow& flow : flows) {
      CHECK(flow.client->report().reset);
      CHECK(flow.server->report().reset);
      CHECK_FALSE(flow.client->report().eof);
      CHECK_FALSE(flow.server->report().eof);
      if (destroyed) continue;
      const Outcome outcome = world.wait_for_outcome(flow.number);
      CHECK(outcome.reason == CloseReason::kAborted);
      CHECK(outcome.progress.received() >= flow.server->report().received);
      CHECK(outcome.progress.sent() >= flow.client->report().received);
      CHECK(world.outcomes_told(flow.number) == 1);
    }
    CHECK(world.stats().flows_active == 0);
  }
  CHECK(eventually([&] { return open_descriptors() == descriptors; }));
}

TEST_CASE("relay matrix: a reader that stops costs less than 8 MiB") {
  const auto cell = GENERATE(from_range(matrix()));
  const bool privileged = GENERATE(false, true);
  INFO(describe(cell) << (privileged ? ", privileged" : ""));
  RelayWorld world(cell.lane);
  if (!privileged) world.drop_capabilities();
  FlowPlan plan = plan_flow(Scenario::kUpload, 1, 24 << 20);
  plan.server.stall_after = kHeaderBytes;
  Legs legs = connect_legs(cell.ipv6);
  const int client_fd = legs.client.get(), server_fd = legs.server.get();
  std::vector<Flow> flows(1);
  Flow& flow = flows.front();
  flow.client = std::make_unique<StreamEnd>(std::move(legs.client), plan.client);
  flow.server = std::make_unique<StreamEnd>(std::move(legs.server), plan.server);
  flow.number = world.relay(std::move(legs.sockets));

  // Blocked: nothing went in for as long as it takes to notice.
  uint64_t sent = 0;
  auto since = monotonic_now();
  while (monotonic_now() - since < patient(milliseconds(400))) {
    flow.client->step();
    flow.server->step();
    if (std::exchange(sent, flow.client->report().sent) != flow.client->report().sent)
      since = monotonic_now();
    pollfd writable{client_fd, POLLOUT, 0};
    poll(&writable, 1, 10);
  }
  REQUIRE(sent < plan.client.send_bytes);
  // What neither application's own sockets hold, we do.
  int unacknowledged = 0, unread = 0;
  REQUIRE(ioctl(client_fd, SIOCOUTQ, &unacknowledged) == 0);
  REQUIRE(ioctl(server_fd, FIONREAD, &unread) == 0);
  const uint64_t held =
      sent - flow.server->report().received - static_cast<uint64_t>(unacknowledged + unread);
  CHECK(held > 100'000);
  CHECK(held < (8u << 20));

  flow.server->resume();
  REQUIRE(run_flows(flows) == "");
  check_finished(flow, world.wait_for_outcome(flow.number));
}

TEST_CASE("relay matrix: several workers at once") {
  const auto& lane = GENERATE(from_range(offered_lanes()));
  INFO(lane.name);
  const size_t descriptors = open_descriptors();
  {
    RelayWorld world(lane, 4);
    const Scenario scenarios[] = {Scenario::kEcho, Scenario::kDuplex, Scenario::kServerHalfClose,
                                  Scenario::kUpload};
    std::vector<Flow> flows;
    for (uint64_t i = 0; i < 64; ++i) {
      flows.push_back(make_flow(scenarios[i % 4], i, 150'000, i % 8 == 0));
      flows.back().number = world.relay(std::move(flows.back().sockets));
    }
    REQUIRE(run_flows(flows) == "");
    for (const Flow& flow : flows) check_finished(flow, world.wait_for_outcome(flow.number));
    CHECK(world.stats().flows_total == flows.size());
    CHECK(world.stats().flows_active == 0);
  }
  CHECK(eventually([&] { return open_descriptors() == descriptors; }));
}

}  // namespace sockmesh::test
