// A socket's PASSed bytes and what is redirected to it share one queue, and a reset takes the queue with it.
// So an answer must not wait in it behind an upload, however long the upload's kernel worker takes to come.
// Here it does not come at all while the answer does.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "base/tcp_socket.h"
#include "held_queue.h"
#include "sockmap_world.h"
#include "test_support/eventually.h"
#include "test_support/kernel_readings.h"

using namespace sockmesh;
using namespace sockmesh::test;
using datapath::CloseReason;
using datapath::SpliceWish;

namespace {

// Returns when the verdict has seen it all.
void put_through(const Fd& writer, const std::string& bytes) {
  put(writer.get(), bytes);
  EVENTUALLY(unacknowledged(writer.get()).value() == 0);
}

// What `reader` can read before the reset, or until it has so much.
std::string hear(const Fd& reader, size_t enough = SIZE_MAX) {
  std::string heard;
  char bytes[65536];
  for (ssize_t n; heard.size() < enough && (n = recv(reader.get(), bytes, sizeof bytes, 0)) > 0;)
    heard.append(bytes, static_cast<size_t>(n));
  return heard;
}

// One side uploads, the other reads nothing and answers:
//
//   uploader --> agent's socket [verdict] --> queue --> agent's socket --> answerer
//            <------------------------------- answer -------------------
//
// The worker of the queue finds the send buffer full until the test is over.
class HeldUpload {
 public:
  HeldUpload(SockmapWorld& world, bool ipv6, bool by_client) {
    auto legs = SockmapWorld::connect(ipv6);
    target_ = (by_client ? legs.sockets.upstream : legs.sockets.downstream).get();
    towards_uploader_ = (by_client ? legs.sockets.downstream : legs.sockets.upstream).get();
    uploader = std::move(by_client ? legs.client : legs.server);
    answerer = std::move(by_client ? legs.server : legs.client);
    fill_send_queue(target_, answerer);
    flow = world.relay(std::move(legs.sockets), SpliceWish::kAlways);
    upload(1);  // so that the verdict has looked at the target, and has credit for more
    set_option(target_, SOL_SOCKET, SO_SNDBUF, 4096);
    upload(200'000);
    REQUIRE(world.maps().stats().behind == 0);
  }

  void upload(size_t bytes) { put_through(uploader, std::string(bytes, 'A')); }
  // Far less than an answer takes; what the uploader's kernel has room for is as before.
  void shrink_send_buffer_of_answers() { set_option(towards_uploader_, SOL_SOCKET, SO_SNDBUF, 4096); }
  void answer_and_reset(const std::string& words) {
    put(answerer.get(), words);
    answerer.reset();  // with the upload unread: RST
  }

  Fd uploader, answerer;
  size_t flow;

 private:
  int target_, towards_uploader_;
};

// Neither side reads, and neither queue's worker comes until release(). What is looked at in the end is what
// one of them reads, and the other is the one that may reset.
class HeldBothWays {
 public:
  HeldBothWays(SockmapWorld& world, bool ipv6, bool client_resets) {
    auto legs = SockmapWorld::connect(ipv6);
    targets_ = {legs.sockets.downstream.get(), legs.sockets.upstream.get()};
    fill_send_queue(targets_[0], legs.client);
    fill_send_queue(targets_[1], legs.server);
    reader = std::move(client_resets ? legs.server : legs.client);
    resetter = std::move(client_resets ? legs.client : legs.server);
    flow = world.relay(std::move(legs.sockets), SpliceWish::kAlways);
    for (const int target : targets_) keep_worker_out(target);
  }

  void shrink() {
    for (const int target : targets_) set_option(target, SOL_SOCKET, SO_SNDBUF, 4096);
  }
  void release() {
    for (const int target : targets_) {
      set_option(target, SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20);
      let_worker_in(target);
    }
  }

  Fd reader, resetter;
  size_t flow;

 private:
  std::array<int, 2> targets_;
};

// The reader's bytes behind those that wait for the reader, which the bounds on segments make the verdict do.
void pass_behind_backlog(SockmapWorld& world, HeldBothWays& flow) {
  const auto before = world.maps().stats();
  // More than the last buffer of a send queue takes whatever the limits say.
  put_through(flow.resetter, std::string(100'000, 'r'));
  put_through(flow.reader, std::string(100'000, 'r'));
  world.maps().set_enabled(false);
  // A segment each, and no waiting for acknowledgements.
  set_option(flow.reader.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  for (int i = 0; i < 3 * SPLICE_SPARED_SKBS * 4; ++i) put(flow.reader.get(), "-");
  EVENTUALLY(world.maps().stats().spared >= before.spared + SPLICE_SPARED_SKBS * 4);
  EVENTUALLY(world.maps().stats().behind > before.behind);  // the others are PASSed
}

}  // namespace

TEST_CASE("an answer whose sender resets right behind it does not wait behind an upload") {
  const bool ipv6 = GENERATE(false, true);
  const bool by_client = GENERATE(true, false);  // uploaded
  const bool copied =
      GENERATE(false, true);  // the upload is being copied already, behind what was redirected
  const size_t size = GENERATE(1u, 200u, 60'000u);
  INFO((ipv6 ? "v6, " : "v4, ") << size << " bytes" << (copied ? ", copied" : ""));
  SockmapWorld world;
  HeldUpload flow(world, ipv6, by_client);
  if (copied) flow.upload(2'000'000);  // more than lane 1 has on the way to one socket
  const std::string words(size, 'w');
  flow.answer_and_reset(words);
  CHECK(hear(flow.uploader) == words);
  const auto outcome = world.wait_for_outcome(flow.flow);
  CHECK(outcome.reason == (by_client ? CloseReason::kUpstreamReset : CloseReason::kDownstreamReset));
  CHECK((by_client ? outcome.progress.sent() : outcome.progress.received()) == size);
  CHECK(world.maps().stats().spared > 0);
  CHECK(world.maps().stats().behind == 0);
}

TEST_CASE(
    "an answer that the send buffer has no room for, but the uploader, does not wait behind an upload") {
  const bool by_client = GENERATE(true, false);  // uploaded
  SockmapWorld world;
  HeldUpload flow(world, false, by_client);
  flow.shrink_send_buffer_of_answers();
  const std::string words(40'000, 'w');
  flow.answer_and_reset(words);
  CHECK(hear(flow.uploader) == words);
  world.wait_for_outcome(flow.flow);
  CHECK(world.maps().stats().behind == 0);
}

TEST_CASE("the kill switch does not put an answer behind an upload either") {
  const bool by_client = GENERATE(true, false);  // uploaded
  SockmapWorld world;
  HeldUpload flow(world, false, by_client);
  world.maps().set_enabled(false);
  const std::string words(200, 'w');
  flow.answer_and_reset(words);
  CHECK(hear(flow.uploader) == words);
  world.wait_for_outcome(flow.flow);
  CHECK(world.maps().stats().behind == 0);
}

TEST_CASE("a direction does not begin to PASS in front of what comes the other way") {
  const bool ipv6 = GENERATE(false, true);
  const bool by_client = GENERATE(true, false);  // reset
  SockmapWorld world;
  HeldBothWays flow(world, ipv6, by_client);
  const std::string redirected(100'000, 'r');
  put_through(flow.resetter, redirected);
  world.maps().set_enabled(false);  // one of the reasons to PASS
  put_through(flow.resetter, std::string(1000, '1'));
  // Would go into the queue that the resetter's bytes are PASSed by.
  put_through(flow.reader, std::string(1000, '-'));
  put_through(flow.resetter, std::string(1000, '2'));
  CHECK(world.maps().stats().behind == 0);
  flow.resetter.reset();  // with bytes unread: RST
  flow.release();
  const std::string heard = hear(flow.reader);
  const std::string said =
      std::string(kLane0Bytes, '0') + redirected + std::string(1000, '1') + std::string(1000, '2');
  CHECK(heard.size() == said.size());
  CHECK((heard == said));
  world.wait_for_outcome(flow.flow);
}

// Both kinds wait in one queue: what is PASSed by a socket, and what is redirected to it.
TEST_CASE("what the other direction has PASSed does not use up the segments that may go beyond the bounds") {
  const bool by_client = GENERATE(true, false);  // reset
  SockmapWorld::Options options;
  options.maps.limit_skbs = 4;  // few, so that all is over before the watchdog wakes the workers
  SockmapWorld world(options);
  HeldBothWays flow(world, false, by_client);
  pass_behind_backlog(world, flow);
  CHECK(world.maps().stats().spared == SPLICE_SPARED_SKBS * 4);
  put_through(flow.resetter, std::string(1000, '2'));
  flow.resetter.reset();
  flow.release();
  const std::string said = std::string(kLane0Bytes, '0') + std::string(100'000, 'r') + std::string(1000, '2');
  const std::string heard = hear(flow.reader);
  CHECK(heard.size() == said.size());
  CHECK((heard == said));
  world.wait_for_outcome(flow.flow);
}

TEST_CASE("what was redirected before a reset is waited for, however late its worker comes") {
  const bool by_client = GENERATE(true, false);  // reset
  SockmapWorld::Options options;
  options.maps.limit_skbs = 4;
  SockmapWorld world(options);
  HeldBothWays flow(world, false, by_client);
  const std::string redirected(100'000, 'r');
  put_through(flow.reader, redirected);  // stays in the resetter's queue for ever
  put_through(flow.resetter, redirected);
  REQUIRE(world.maps().stats().behind == 0);
  flow.shrink();  // so that the watchdog does not wake the worker either
  flow.resetter.reset();
  // One that is reset later and given up, since it has PASSed behind a backlog what may never come out.
  HeldBothWays hopeless(world, false, by_client);
  pass_behind_backlog(world, hopeless);
  hopeless.shrink();
  hopeless.reader.reset();
  world.wait_for_outcome(hopeless.flow);
  CHECK_FALSE(world.outcome(flow.flow));
  flow.release();
  const std::string heard = hear(flow.reader);
  CHECK((heard == std::string(kLane0Bytes, '0') + redirected));
  world.wait_for_outcome(flow.flow);
}

// What the receive buffer has no room for stays in the queue until it is read, and whoever reads it may be
// waiting for what was redirected behind it.
TEST_CASE("nothing is redirected behind more than the socket takes in without being read") {
  const bool by_client = GENERATE(true, false);
  SockmapWorld::Options options;
  options.maps.limit_skbs = 4;
  SockmapWorld world(options);
  HeldBothWays flow(world, false, by_client);
  put_through(flow.resetter, std::string(100'000, 'r'));
  put_through(flow.reader, std::string(100'000, 'r'));
  world.maps().set_enabled(false);
  const size_t many = 6'000'000;  // of which 2 MiB are redirected; a receive buffer has 3
  put(flow.reader.get(), std::string(many, '-'));
  EVENTUALLY(world.maps().stats().behind == 1);
  const auto spared = world.maps().stats().spared;
  put(flow.resetter.get(), std::string(1000, '2'));
  EVENTUALLY(world.maps().stats().behind == 2);  // PASSed, although bytes wait in its way
  CHECK(world.maps().stats().spared == spared);
  flow.release();
  const size_t to_reader = kLane0Bytes + 100'000 + 1000, to_other = kLane0Bytes + 100'000 + many;
  CHECK(hear(flow.reader, to_reader).size() == to_reader);
  CHECK(hear(flow.resetter, to_other).size() == to_other);
}

TEST_CASE("what is redirected between two readings is not sent because of that, and no count falls") {
  SockmapWorld world;
  HeldUpload flow(world, false, false);
  bool happened = false;
  const auto first = world.progress(flow.flow, [&] {
    before_next(Reading::kSendQueue, [&] {
      flow.upload(10'000);
      happened = true;
    });
  });
  CHECK(happened);
  const auto second = world.progress(flow.flow);
  for (const auto lane : model::kLanes) {
    CHECK(first.moved[lane].sent <= first.sent());
    CHECK(second.moved[lane].sent >= first.moved[lane].sent);
  }
  CHECK(second.sent() < 100'000);  // the worker is held
}
