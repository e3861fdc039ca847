#include "server/capture_sockets.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>

using namespace sockmesh;
using namespace sockmesh::server;

namespace {

// How many connections the kernel completes for a listening socket before one is accepted.
uint32_t backlog_of(const Fd& listening) {
  tcp_info info{};
  socklen_t size = sizeof info;
  REQUIRE(getsockopt(listening.get(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
  return info.tcpi_sacked;  // of a listening socket (net/ipv4/tcp.c, tcp_get_info)
}

}  // namespace

TEST_CASE("4096 connections can wait at each capture socket, where the machine allows it") {
  uint32_t allowed = 0;
  std::ifstream("/proc/sys/net/core/somaxconn") >> allowed;
  REQUIRE(allowed > 0);
  config::ProxyIdentity identity;
  identity.ports.outbound = identity.ports.inbound = 0;
  const auto bound =
      bind_capture_sockets(std::make_shared<pod::Pod>(identity), Interception::kRedirect, /*workers=*/1);
  REQUIRE(bound);
  REQUIRE(bound->size() == 1);
  CHECK(bound->front().size() >= 2);  // outbound and inbound, of each family
  for (const CaptureSocket& capture : bound->front())
    CHECK(backlog_of(capture.socket) == std::min(allowed, 4096u));
}
