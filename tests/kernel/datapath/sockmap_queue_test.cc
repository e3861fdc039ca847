// A socket's PASSed bytes and what is redirected to it share one queue, and a reset takes the queue with it.
// So an answer must not wait in it behind an upload, however long the upload's kernel worker takes to come.
// Here it does not come at all while the answer does.
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "sockmap_world.h"
#include "test_support/eventually.h"
#include "test_support/kernel_readings.h"

using namespace sockmesh;
using namespace sockmesh::test;
using datapath::CloseReason;
using datapath::SpliceWish;

namespace {

constexpr size_t kLane0Bytes = 400'000;

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
    uploader = std::move(by_client ? legs.client : legs.server);
    answerer = std::move(by_client ? legs.server : legs.client);
    set(answerer.get(), SO_RCVBUF, 16384);
    set(target_, SO_SNDBUFFORCE, 4 << 20);
    const std::string before(kLane0Bytes, '0');
    REQUIRE(send(target_, before.data(), before.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(before.size()));
    flow = world.relay(std::move(legs.sockets), SpliceWish::kAlways);
    upload(1);  // so that the verdict has looked at the target, and has credit for more
    set(target_, SO_SNDBUF, 4096);
    upload(200'000);
    REQUIRE(world.maps().stats().behind == 0);
  }

  // Returns when the verdict has seen it all.
  void upload(size_t bytes) {
    const std::string text(bytes, 'A');
    REQUIRE(send(uploader.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes));
    EVENTUALLY(unacknowledged() == 0);
  }
  void answer_and_reset(const std::string& words) {
    REQUIRE(send(answerer.get(), words.data(), words.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(words.size()));
    answerer.reset();  // with the upload unread: RST
  }
  // What the uploader can read before the reset.
  std::string hear() {
    std::string heard;
    char bytes[65536];
    for (ssize_t n; (n = recv(uploader.get(), bytes, sizeof bytes, 0)) > 0;)
      heard.append(bytes, static_cast<size_t>(n));
    return heard;
  }

  Fd uploader, answerer;
  size_t flow;

 private:
  static void set(int socket, int option, int value) {
    REQUIRE(setsockopt(socket, SOL_SOCKET, option, &value, sizeof value) == 0);
  }
  int unacknowledged() {
    int bytes = 0;
    REQUIRE(ioctl(uploader.get(), SIOCOUTQ, &bytes) == 0);
    return bytes;
  }

  int target_;
};

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
  CHECK(flow.hear() == words);
  const auto outcome = world.wait_for_outcome(flow.flow);
  CHECK(outcome.reason == (by_client ? CloseReason::kUpstreamReset : CloseReason::kDownstreamReset));
  CHECK((by_client ? outcome.progress.sent : outcome.progress.received) == size);
  CHECK(world.maps().stats().spared > 0);
  CHECK(world.maps().stats().behind == 0);
}

TEST_CASE("the kill switch does not put an answer behind an upload either") {
  const bool by_client = GENERATE(true, false);  // uploaded
  SockmapWorld world;
  HeldUpload flow(world, false, by_client);
  world.maps().set_enabled(false);
  const std::string words(200, 'w');
  flow.answer_and_reset(words);
  CHECK(flow.hear() == words);
  world.wait_for_outcome(flow.flow);
  CHECK(world.maps().stats().behind == 0);
}

TEST_CASE("what is redirected between two readings is not sent because of that, and no count falls") {
  SockmapWorld world;
  HeldUpload flow(world, false, false);
  bool happened = false;
  const auto first = world.progress(flow.flow, [&] {
    before_next(Reading::send_queue, [&] {
      flow.upload(10'000);
      happened = true;
    });
  });
  CHECK(happened);
  const auto second = world.progress(flow.flow);
  CHECK(first.spliced_sent <= first.sent);
  CHECK(second.sent >= first.sent);
  CHECK(second.spliced_sent >= first.spliced_sent);
  CHECK(second.sent < 100'000);  // the worker is held
}
