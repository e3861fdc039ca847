// What bound_queues() makes of a socket, with and without the privilege to exceed net.core.rmem_max.
#include "datapath/socket_bounds.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/capability.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <thread>

#include "test_support/netns.h"
#include "test_support/tcp_pair.h"

namespace sockmesh::test {

using datapath::bound_queues;
using datapath::kReceiveQueueBytes;
using datapath::kUnsentBytes;

namespace {

int option(const Fd& socket, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  getsockopt(socket.get(), level, name, &value, &size);
  return value;
}

// In a thread of its own, whose capabilities are gone afterwards.
void bound(const Fd& socket, bool privileged) {
  std::thread([&] {
    if (!privileged) {
      cap_t none = cap_init();
      cap_set_proc(none);
      cap_free(none);
    }
    bound_queues(socket.get());
  }).join();
}

constexpr int kBufLock = 72;  // SO_BUF_LOCK

}  // namespace

TEST_CASE("both queues of a socket are bounded, with privileges or without") {
  const bool privileged = GENERATE(true, false);
  const bool ipv6 = GENERATE(false, true);
  const bool used = GENERATE(false, true);  // bytes have come, and lie there
  INFO((privileged ? "privileged" : "unprivileged") << (ipv6 ? ", v6" : ", v4") << (used ? ", used" : ""));
  auto [socket, peer] = tcp_pair(ipv6);
  if (used) REQUIRE(send(peer.get(), std::string(20'000, 'x').data(), 20'000, 0) == 20'000);
  for (int times = 0; times < 2; ++times) {
    bound(socket, privileged);
    const int size = option(socket, SOL_SOCKET, SO_RCVBUF);
    CHECK(size >= static_cast<int>(kReceiveQueueBytes) * 9 / 10);
    CHECK(size <= static_cast<int>(kReceiveQueueBytes) * 11 / 10);
    CHECK(option(socket, SOL_SOCKET, kBufLock) == 2);
    CHECK(option(socket, SOL_SOCKET, SO_RCVLOWAT) == 1);
    CHECK(option(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT) == static_cast<int>(kUnsentBytes));
  }
}

TEST_CASE("a machine that allows less is not made to allow more") {
  const Netns netns("bounds");
  netns.set_sysctl("net/ipv4/tcp_rmem", "4096 131072 1000000");
  netns.run([] {
    auto [socket, peer] = tcp_pair(false);
    bound(socket, false);
    CHECK(option(socket, SOL_SOCKET, SO_RCVBUF) <= static_cast<int>(kReceiveQueueBytes));
    CHECK(option(socket, SOL_SOCKET, SO_RCVLOWAT) == 1);
  });
}

}  // namespace sockmesh::test
