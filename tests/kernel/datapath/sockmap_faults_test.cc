// What lane 1 does when the kernel does not do its part (docs/sockmap.md#the-safety-net): bytes that stay in
// a backlog, too many of them, an error that TCP does not make. The first two are staged in the record that
// both sides share, the third is made for real, by a second BPF program that breaks the rule about FINs.
#include <bpf/bpf.h>
#include <sys/socket.h>

#include <atomic>
#include <catch2/catch.hpp>

#include "sockmap_world.h"
#include "test_support/eventually.h"
#include "test_support/scenarios.h"
#include "test_support/tcp_pair.h"

using namespace sockmesh;
using namespace sockmesh::test;
using datapath::CloseReason;
using datapath::Lane;
using datapath::SpliceWish;
using std::chrono::milliseconds;

namespace {

uint64_t cookie_of(const Fd& socket) {
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  REQUIRE(getsockopt(socket.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0);
  return cookie;
}

// The record of the direction whose source has this cookie. They lie in an array, of which a claim of our own
// shows the place.
splice_direction& record_of(bpf::SpliceMaps& maps, uint64_t cookie) {
  const auto own = maps.claim(~cookie);
  REQUIRE(own);
  splice_direction* record = own->record - own->index;
  maps.release(*own);
  const splice_direction* end = record + maps.stats().slots;
  while (record != end && record->cookie != cookie) ++record;
  REQUIRE(record != end);
  return *record;
}

// A spliced flow, and the cookie of the agent's socket towards the client.
struct Spliced {
  Fd client, server;
  size_t flow;
  uint64_t downstream;
};
Spliced splice(SockmapWorld& world) {
  auto legs = SockmapWorld::connect();
  const uint64_t cookie = cookie_of(legs.sockets.downstream);
  const size_t flow = world.relay(std::move(legs.sockets), SpliceWish::kAlways);
  say(legs.client, legs.server, "hello");
  REQUIRE(world.progress(flow).lane == Lane::kSkSkb);
  return {std::move(legs.client), std::move(legs.server), flow, cookie};
}

// The kernel says that it has moved `bytes` more to the server than it has.
void lose_in_backlog(SockmapWorld& world, const Spliced& flow, uint64_t bytes) {
  world.run([&] { std::atomic_ref(record_of(world.maps(), flow.downstream).redirected).fetch_add(bytes); });
}

// A sockmap of one socket whose program sends all that arrives there, bare FINs included, to another socket.
class NaiveSplice {
 public:
  NaiveSplice(int from, int to) : sources_(make_map()), targets_(make_map()), program_(load(targets_.get())) {
    REQUIRE(bpf_prog_attach(program_.get(), sources_.get(), BPF_SK_SKB_VERDICT, 0) == 0);
    put(targets_, to);
    put(sources_, from);
  }

 private:
  static Fd make_map() {
    Fd map(bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "naive", sizeof(uint32_t), sizeof(uint64_t), 1, nullptr));
    REQUIRE(map);
    return map;
  }
  static Fd load(int targets) {
    const bpf_insn program[] = {
        {.code = BPF_LD | BPF_DW | BPF_IMM,
         .dst_reg = BPF_REG_2,
         .src_reg = BPF_PSEUDO_MAP_FD,
         .off = 0,
         .imm = targets},
        {},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .src_reg = 0, .off = 0, .imm = 0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .src_reg = 0, .off = 0, .imm = 0},
        {.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = BPF_FUNC_sk_redirect_map},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
    };
    Fd loaded(bpf_prog_load(BPF_PROG_TYPE_SK_SKB, "naive", "GPL", program, std::size(program), nullptr));
    REQUIRE(loaded);
    return loaded;
  }
  static void put(const Fd& map, int socket) {
    const uint32_t key = 0;
    const auto value = static_cast<uint64_t>(socket);
    REQUIRE(bpf_map_update_elem(map.get(), &key, &value, BPF_NOEXIST) == 0);
  }

  Fd sources_, targets_, program_;
};

}  // namespace

TEST_CASE("a stuck backlog resets its flow, and several give the lane up") {
  SockmapWorld::Options options;
  options.limits.stuck = milliseconds(50);
  SockmapWorld world(options);
  auto bystander = splice(world);
  for (uint64_t i = 1; i <= options.limits.stuck_flows; ++i) {
    CHECK(world.maps().disabled_reason() == "");
    auto flow = splice(world);
    lose_in_backlog(world, flow, 1000);
    const auto outcome = world.wait_for_outcome(flow.flow);
    CHECK(outcome.reason == CloseReason::kAborted);
    CHECK(outcome.detail == "bytes redirected in the kernel were stuck");
    CHECK(was_reset(flow.client));
    CHECK(was_reset(flow.server));
    CHECK(world.lane().counters().stats().lanes[Lane::kSkSkb].stuck == i);
  }
  CHECK(world.maps().disabled_reason().find("stuck") != std::string::npos);

  // Others go on in user space, and new ones begin there.
  say(bystander.client, bystander.server, "still there?");
  say(bystander.server, bystander.client, "yes");
  CHECK(world.progress(bystander.flow).lane == Lane::kEpoll);
  CHECK_FALSE(world.outcome(bystander.flow));
  auto late = world.open();
  say(late.client, late.server, "hello");
  CHECK(world.progress(late.flow).lane == Lane::kEpoll);
  CHECK(world.progress(late.flow).lane_reason.find("lane 1 was given up") == 0);
}

TEST_CASE("a backlog that waits for a reader is not stuck") {
  SockmapWorld::Options options;
  options.limits.stuck = milliseconds(50);
  SockmapWorld world(options);
  auto flow = splice(world);
  // The server does not read, until nothing goes in any more.
  const std::string bytes(1 << 20, 'b');
  uint64_t sent = 0;
  REQUIRE_FALSE(eventually(
      [&] {
        const auto n = send(flow.client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) sent += static_cast<uint64_t>(n);
        return sent > (64u << 20);
      },
      milliseconds(500)));
  lose_in_backlog(world, flow, 1000);
  CHECK_FALSE(eventually([&] { return world.outcome(flow.flow).has_value(); }, milliseconds(800)));
  CHECK(world.lane().counters().stats().lanes[Lane::kSkSkb].stuck == 0);
}

TEST_CASE("when too many redirected bytes wait in the kernel, flows that add to them copy") {
  SockmapWorld::Options options;
  options.limits.backlog_bytes = 999;
  SockmapWorld world(options);
  auto adding = splice(world), other = splice(world);
  lose_in_backlog(world, adding, 1000);
  EVENTUALLY(world.progress(adding.flow).lane == Lane::kEpoll);
  CHECK(world.progress(adding.flow).lane_reason == "copied: too many redirected bytes wait in the kernel");
  CHECK(world.maps().gauges().backlog_bytes == 1000);
  CHECK(eventually([&] {
    say(other.client, other.server, "hello");
    return world.progress(other.flow).lane == Lane::kSkSkb;
  }));
  // They are written after all.
  lose_in_backlog(world, adding, UINT64_MAX - 999);  // 1000 less: the sum is modulo 2^64
  CHECK(eventually([&] {
    say(adding.client, adding.server, "hello");
    say(adding.server, adding.client, "hello");
    return world.progress(adding.flow).lane == Lane::kSkSkb;
  }));
  CHECK(world.maps().gauges().backlog_bytes == 0);
}

TEST_CASE("EPIPE on a living socket gives the lane up") {
  SockmapWorld world;
  auto bystander = splice(world);
  auto legs = SockmapWorld::connect();
  const int upstream = legs.sockets.upstream.get();
  const size_t flow = world.relay(std::move(legs.sockets), SpliceWish::kAlways);
  say(legs.client, legs.server, "hello");
  CHECK(world.maps().disabled_reason() == "");

  auto [from, peer] = tcp_pair(false);
  const NaiveSplice naive(from.get(), upstream);
  shutdown(peer.get(), SHUT_WR);  // its FIN goes to the upstream
  const auto outcome = world.wait_for_outcome(flow);
  CHECK(outcome.reason == CloseReason::kUpstreamReset);
  CHECK(outcome.detail.find("Broken pipe") != std::string::npos);
  CHECK(world.maps().disabled_reason() == "EPIPE on a socket that was not shut down");
  CHECK(was_reset(legs.client));
  CHECK(was_reset(legs.server));

  say(bystander.client, bystander.server, "still there?");
  say(bystander.server, bystander.client, "yes");
  CHECK(world.progress(bystander.flow).lane == Lane::kEpoll);
}
