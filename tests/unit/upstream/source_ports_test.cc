#include "upstream/source_ports.h"

#include <catch2/catch.hpp>
#include <set>

using namespace sockmesh;
using namespace sockmesh::upstream;

namespace {

SocketAddress client(uint16_t port, uint32_t host = 1) { return {IpAddress::v4(0x0a000000 + host), port}; }

}  // namespace

TEST_CASE("ports beside those that a client takes") {
  using Seen = std::optional<PortRange>;
  const struct {
    Seen seen, chosen;
  } rows[] = {
      {std::nullopt, kQuietPorts},
      {PortRange{20000, 20000}, PortRange{1024, 10511}},  // the far half below
      {PortRange{10000, 32767}, PortRange{1024, 5511}},   // "10000 65535"
      {PortRange{3071, 32767}, PortRange{1024, 2047}},    // of just enough, half
      {PortRange{3070, 32767}, PortRange{1024, 3069}},    // half would be too few
      {PortRange{2048, 32767}, PortRange{1024, 2047}},    // just enough
      {PortRange{2047, 32767}, std::nullopt},             // one port too few
      {PortRange{1024, 4999}, PortRange{18884, 32767}},   // old systems: the far half above
      {PortRange{1024, 32767 - 2047}, PortRange{31744, 32767}},
      {PortRange{1024, 32767 - 2046}, std::nullopt},
      {PortRange{1024, 32767}, std::nullopt},  // "1024 65535"
  };
  for (const auto& row : rows) {
    const Seen got = ports_beside(row.seen);
    CAPTURE(row.seen ? row.seen->first : 0, row.seen ? row.seen->last : 0, got ? got->first : 0,
            got ? got->last : 0);
    CHECK(got == row.chosen);
  }
}

TEST_CASE("ports behind one, downwards and around, never privileged") {
  CHECK(port_behind(40000, 0) == 39999);
  CHECK(port_behind(40000, 9) == 39990);
  CHECK(port_behind(1025, 0) == 1024);
  CHECK(port_behind(1024, 0) == 65535);
  CHECK(port_behind(1026, 2) == 65535);
  CHECK(port_behind(700, 0) == 65535);  // a client may have a privileged port; the agent does not take one
  std::set<uint16_t> all;
  for (uint32_t i = 0; i < 65536 - 1024; ++i) all.insert(port_behind(50000, i));
  CHECK(all.size() == 65536 - 1024);
  CHECK(*all.begin() == 1024);
}

TEST_CASE("the port of a client with ordinary ports goes round all of the quiet ones") {
  SourcePorts ports(0xfffffff0);  // the turn overflows on the way
  std::set<uint16_t> taken;
  for (uint32_t i = 0; i < 2 * kQuietPorts.size(); ++i) {
    ports.seen(client(40000));
    taken.insert(ports.choose(client(40000), 0));
  }
  CHECK(taken.size() == kQuietPorts.size());
  CHECK(*taken.begin() == 1024);
  CHECK(*taken.rbegin() == 32767);
}

TEST_CASE("many ports in a row that are taken are left behind with a few tries") {
  SourcePorts ports(0);
  ports.seen(client(2048, 2));  // leaves 1024 to 2047
  ports.seen(client(32767, 2));
  for (const uint32_t host : {1u, 2u}) {
    const uint32_t last = host == 1 ? 32767 : 2047;
    for (uint32_t start = 0; start < 50; ++start) {
      uint32_t tries = 0;
      const auto taken = [&](uint16_t port) { return port < last - (last - 1024) / 10; };  // nine of ten
      while (tries < 64 && taken(ports.choose(client(40000, host), tries))) ++tries;
      CHECK(tries < 64);
    }
  }
}

TEST_CASE("what is known of one client is not held against another") {
  SourcePorts ports(0);
  ports.seen(client(1024));
  ports.seen(client(32767));
  ports.seen(client(50000));
  CHECK(ports.choose(client(50000), 0) == 49999);
  CHECK(ports.choose(client(50000), 7) == 49992);
  CHECK(ports.choose(client(50000, 2), 0) <= kQuietPorts.last);
  // Privileged ports and those above say nothing about the range.
  ports.seen(client(800, 3));
  CHECK(ports.choose(client(800, 3), 0) >= kQuietPorts.first);
}

TEST_CASE("so many clients with widened ports are remembered, the latest ones") {
  SourcePorts ports(0);
  for (uint32_t host = 1; host <= SourcePorts::kMaxClients + 1; ++host) {
    ports.seen(client(1024, host));
    ports.seen(client(32767, host));
    if (host > 1) ports.seen(client(2000, 1));  // goes on being heard
  }
  const auto remembered = [&](uint32_t host) { return ports.choose(client(50000, host), 0) == 49999; };
  CHECK(remembered(1));
  CHECK_FALSE(remembered(2));
  CHECK(remembered(3));
  CHECK(remembered(SourcePorts::kMaxClients + 1));
}
