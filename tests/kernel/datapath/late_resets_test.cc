// LateResets: how long the RST of a flow that is over waits, for a peer that reads and for one that does not.
#include "datapath/late_resets.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <thread>
#include <tuple>

#include "base/tcp_socket.h"
#include "relay_world.h"
#include "test_support/eventually.h"
#include "test_support/tcp_pair.h"

namespace sockmesh::test {

using namespace datapath;

namespace {

// A loop in the test's own thread, and a connection of which `ours` is closed late.
struct Late {
  std::unique_ptr<event::Loop> loop = event::Loop::create(event::Backend::kEpoll).value();
  Fd ours, peers;
  size_t written = 0;

  explicit Late(bool ipv6) {
    std::tie(ours, peers) = tcp_pair(ipv6);
    for (const Fd* fd : {&ours, &peers}) REQUIRE(fcntl(fd->get(), F_SETFL, O_NONBLOCK) == 0);
  }
  // More than the peer's window takes.
  void write_all_that_fits() {
    const std::string bytes(65'536, 'b');
    for (ssize_t n = 0; (n = send(ours.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL)) > 0;)
      written += static_cast<size_t>(n);
    REQUIRE(errno == EAGAIN);
  }
  // Runs the loop until nothing waits.
  void run(LateResets& resets) {
    std::unique_ptr<event::Timer> look = loop->timer([&] {
      if (resets.waiting() == 0) return loop->stop();
      look->set(std::chrono::milliseconds(1));
    });
    look->set(Duration{});
    loop->run();
  }
};

constexpr LateResets::Limits kPatient{.without_progress = std::chrono::hours(1),
                                      .in_all = std::chrono::hours(1)};

}  // namespace

TEST_CASE("a late reset waits until its peer has all that was sent") {
  Late late(GENERATE(false, true));
  LateResets resets(*late.loop, kPatient);
  late.write_all_that_fits();
  // It would end a connection that is closed in order, and takes with it what was not acknowledged.
  put(late.peers, "an upload that nobody reads");
  resets.close(std::move(late.ours), GENERATE(false, true));
  REQUIRE(resets.waiting() == 1);
  std::thread reader([&] {
    CHECK(get(late.peers, late.written).size() == late.written);
    CHECK(wait_for_end(late.peers) == End::kRst);
  });
  late.run(resets);
  reader.join();
}

TEST_CASE("nothing is waited for when all has arrived, nor when too many wait already") {
  Late late(false), second(false);
  LateResets resets(*late.loop, {.sockets = 1});
  put(late.ours, "hello");
  REQUIRE(get(late.peers, 5) == "hello");
  EVENTUALLY(unacknowledged(late.ours.get()).value() == 0);
  resets.close(std::move(late.ours), false);
  CHECK(resets.waiting() == 0);
  CHECK(wait_for_end(late.peers) == End::kRst);

  Late first(true);
  first.write_all_that_fits();
  second.write_all_that_fits();
  resets.close(std::move(first.ours), false);
  resets.close(std::move(second.ours), false);
  CHECK(resets.waiting() == 1);
  CHECK(wait_for_end(second.peers) == End::kRst);
}

TEST_CASE("a late reset does not wait for a peer that takes nothing, or takes for ever, or is gone") {
  Late late(GENERATE(false, true));
  late.write_all_that_fits();
  SECTION("nothing") {
    LateResets resets(*late.loop,
                      {.without_progress = std::chrono::milliseconds(20), .in_all = std::chrono::hours(1)});
    resets.close(std::move(late.ours), false);
    late.run(resets);
    CHECK(wait_for_end(late.peers) == End::kRst);
  }
  SECTION("nothing, but the stream is complete: the kernel goes on delivering") {
    shutdown(late.ours.get(), SHUT_WR);
    LateResets resets(*late.loop,
                      {.without_progress = std::chrono::milliseconds(20), .in_all = std::chrono::hours(1)});
    resets.close(std::move(late.ours), true);
    late.run(resets);
    CHECK(get(late.peers, late.written).size() == late.written);
    CHECK(wait_for_end(late.peers) == End::kFin);
  }
  SECTION("for ever") {
    LateResets resets(*late.loop,
                      {.without_progress = std::chrono::hours(1), .in_all = std::chrono::milliseconds(20)});
    resets.close(std::move(late.ours), false);
    late.run(resets);
    CHECK(wait_for_end(late.peers) == End::kRst);
  }
  SECTION("gone") {
    LateResets resets(*late.loop, kPatient);
    resets.close(std::move(late.ours), false);
    reset_on_close(late.peers.get());
    late.peers.reset();
    late.run(resets);
  }
}

}  // namespace sockmesh::test
