#include "net/original_destination.h"

#include <catch2/catch.hpp>

#include "net/loop_guard.h"

using namespace sockmesh;
using namespace sockmesh::net;

namespace {

SocketAddress at(const char* text) { return SocketAddress::parse(text).value(); }

}  // namespace

TEST_CASE("a tracked address that differs from ours was redirected") {
  const auto vip = at("10.96.0.7:80");
  const auto captured = decide(at("127.0.0.1:15001"), &vip, 15001);
  CHECK(captured.destination == vip);
  CHECK(captured.redirected);
}

TEST_CASE("a tracked address equal to ours was not redirected") {
  const auto own = at("10.1.0.5:15001");
  const auto captured = decide(own, &own, 15001);
  CHECK(captured.destination == own);
  CHECK_FALSE(captured.redirected);
}

TEST_CASE("without connection tracking a foreign local port means TPROXY") {
  CHECK(decide(at("10.1.0.5:9000"), nullptr, 15006).redirected);
  CHECK(decide(at("[fd00::5]:9000"), nullptr, 15006).destination == at("[fd00::5]:9000"));
  CHECK_FALSE(decide(at("10.1.0.5:15006"), nullptr, 15006).redirected);
}

TEST_CASE("the loop guard refuses who dials a capture port") {
  const std::vector<uint16_t> ports{15001, 15006};
  CHECK(would_loop({at("10.1.0.5:15001"), false}, ports));
  CHECK(would_loop({at("10.1.0.5:15006"), false}, ports));
  CHECK(would_loop({at("127.0.0.1:15001"), true}, ports));
  CHECK_FALSE(would_loop({at("10.1.0.5:80"), true}, ports));
  // Another pod's port of that number is the business of the filter chains.
  CHECK_FALSE(would_loop({at("10.1.0.9:15001"), true}, ports));
  CHECK_FALSE(would_loop({at("10.1.0.5:443"), false}, ports));
}
