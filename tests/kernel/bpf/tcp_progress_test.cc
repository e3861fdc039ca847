// How far a send queue has come, read while the peer acknowledges between the two readings.
#include "bpf/tcp_progress.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <vector>

#include "test_support/eventually.h"
#include "test_support/kernel_readings.h"
#include "test_support/tcp_pair.h"

using namespace sockmesh;
using namespace sockmesh::test;

namespace {

int unacknowledged(const Fd& socket) {
  int bytes = 0;
  REQUIRE(ioctl(socket.get(), SIOCOUTQ, &bytes) == 0);
  return bytes;
}

// A socket that has sent more than its peer, who does not read, has room for.
struct Full {
  explicit Full(bool ipv6) {
    std::tie(socket, peer) = tcp_pair(ipv6);
    for (const Fd* fd : {&socket, &peer}) REQUIRE(fcntl(fd->get(), F_SETFL, O_NONBLOCK) == 0);
    const std::vector<char> bytes(65536);
    while (send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0) {
    }
    // What the peer has room for is acknowledged by and by.
    int before = -1;
    REQUIRE(
        eventually([&] { return std::exchange(before, unacknowledged(socket)) == unacknowledged(socket); }));
    REQUIRE(unacknowledged(socket) > 0);
  }
  // The peer reads until it has acknowledged `bytes` more.
  void acknowledge(int bytes) {
    const int goal = std::max(unacknowledged(socket) - bytes, 0);
    std::vector<char> into(1 << 20);
    REQUIRE(eventually([&] {
      while (recv(peer.get(), into.data(), into.size(), 0) > 0) {
      }
      return unacknowledged(socket) <= goal;
    }));
  }
  Fd socket, peer;
};

}  // namespace

TEST_CASE("an acknowledgement between the readings, of bytes from before the base, does not wrap") {
  const bool ipv6 = GENERATE(false, true);
  Full full(ipv6);
  const auto since = bpf::PlacedSince::now(full.socket.get());
  REQUIRE(since);
  CHECK(since->at_least().value() == 0);

  before_next(Reading::kSendQueue, [&] { full.acknowledge(100'000); });
  CHECK(since->at_least().value() == 0);
  CHECK_FALSE(event_waits());
  CHECK(since->at_least().value() == 0);

  // What is placed after all is told when nothing comes in between.
  REQUIRE(eventually([&] { return send(full.socket.get(), "hello", 5, MSG_NOSIGNAL) == 5; }));
  CHECK(since->at_least().value() == 5);
}

TEST_CASE("a base is read again when an acknowledgement came in between") {
  const bool ipv6 = GENERATE(false, true);
  const auto reading = GENERATE(Reading::kSendQueue, Reading::kTcpInfo);
  Full full(ipv6);
  before_next(reading, [&] { full.acknowledge(100'000); });
  const auto since = bpf::PlacedSince::now(full.socket.get());
  REQUIRE(since);
  CHECK_FALSE(event_waits());
  full.acknowledge(unacknowledged(full.socket));
  CHECK(since->at_least().value() == 0);
}
