// The shared records and rings, without a relay.
#include "bpf/splice_pair.h"

#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <stdexcept>

#include "base/tcp_socket.h"
#include "bpf/loopback_pair.h"
#include "bpf/splice_ring.h"

using namespace sockmesh;
using bpf::LoopbackPair;
using bpf::Side;
using bpf::SpliceMaps;
using bpf::SplicePair;

namespace {

LoopbackPair open_pair() {
  auto pair = bpf::open_loopback_pair();
  if (!pair) throw std::runtime_error(pair.error().message);
  return std::move(pair).value();
}

struct Flow {
  LoopbackPair down = open_pair(), up = open_pair();
  int client() const { return down.connecting.get(); }
  int downstream() const { return down.accepted.get(); }
  int upstream() const { return up.connecting.get(); }
  int server() const { return up.accepted.get(); }
};

// Waits for `size` bytes.
std::string read(int socket, size_t size) {
  std::string text(size, '\0');
  size_t done = 0;
  while (done < size) {
    pollfd fd{socket, POLLIN, 0};
    if (poll(&fd, 1, 5000) != 1) return text.substr(0, done);
    const auto n = recv(socket, text.data() + done, size - done, MSG_DONTWAIT);
    if (n > 0) done += static_cast<size_t>(n);
    if (n == 0) return text.substr(0, done);
  }
  return text;
}

}  // namespace

TEST_CASE("bytes for a target that is not there are left to user space, not lost") {
  auto maps = SpliceMaps::load({});
  REQUIRE(maps);
  Flow flow;
  auto pair = SplicePair::prepare(**maps, flow.downstream(), flow.upstream(), SPLICE_NO_RING);
  REQUIRE(pair);
  REQUIRE(pair->insert(Side::kDownstream));  // and not the other
  pair->arm();
  REQUIRE(send(flow.client(), "hello", 5, 0) == 5);
  CHECK(read(flow.downstream(), 5) == "hello");
  CHECK(pair->counters(Side::kDownstream).passed == 5);
  CHECK(pair->counters(Side::kDownstream).redirected == 0);
  CHECK(pair->pass_reason(Side::kDownstream) == SPLICE_REASON_NO_TARGET);
}

// The kernel tells it once. Swallowed here, a reset would look like a proper end of stream.
TEST_CASE("a kick tells the error of a socket that failed meanwhile") {
  auto maps = SpliceMaps::load({});
  REQUIRE(maps);
  Flow flow;
  auto pair = SplicePair::prepare(**maps, flow.downstream(), flow.upstream(), SPLICE_NO_RING);
  REQUIRE(pair);
  REQUIRE(pair->insert(Side::kUpstream));
  CHECK(pair->kick(Side::kUpstream));  // nothing there
  reset_on_close(flow.server());
  flow.up.accepted.reset();
  pollfd fd{flow.upstream(), 0, 0};
  REQUIRE(poll(&fd, 1, 5000) == 1);  // POLLERR
  const auto kicked = pair->kick(Side::kUpstream);
  REQUIRE_FALSE(kicked);
  CHECK(kicked.error().message.find("Connection reset") != std::string::npos);
}

TEST_CASE("redirecting goes on once user space has caught up") {
  auto maps = SpliceMaps::load({});
  REQUIRE(maps);
  Flow flow;
  auto pair = SplicePair::prepare(**maps, flow.downstream(), flow.upstream(), SPLICE_NO_RING);
  REQUIRE(pair);
  REQUIRE(pair->insert(Side::kUpstream));
  REQUIRE(pair->insert(Side::kDownstream));
  REQUIRE(send(flow.client(), "before", 6, 0) == 6);  // disarmed: PASS
  CHECK(read(flow.downstream(), 6) == "before");
  pair->arm();
  REQUIRE(send(flow.client(), " still", 6, 0) == 6);  // armed, but "before" is in our hands
  CHECK(read(flow.downstream(), 6) == " still");
  CHECK(pair->counters(Side::kDownstream).redirected == 0);
  REQUIRE(send(flow.upstream(), "before still", 12, 0) == 12);
  CHECK(pair->publish(Side::kDownstream, 12) == 12);
  REQUIRE(send(flow.client(), " after", 6, 0) == 6);
  CHECK(read(flow.server(), 18) == "before still after");
  CHECK(pair->counters(Side::kDownstream).redirected == 6);
  CHECK(pair->drained(Side::kDownstream).value());
}

TEST_CASE("slots run out without harm and come back") {
  auto maps = SpliceMaps::load({.slots = 4});
  REQUIRE(maps);
  Flow flows[3];
  {
    auto first = SplicePair::prepare(**maps, flows[0].downstream(), flows[0].upstream(), SPLICE_NO_RING);
    auto second = SplicePair::prepare(**maps, flows[1].downstream(), flows[1].upstream(), SPLICE_NO_RING);
    REQUIRE(first);
    REQUIRE(second);
    auto third = SplicePair::prepare(**maps, flows[2].downstream(), flows[2].upstream(), SPLICE_NO_RING);
    REQUIRE_FALSE(third);
    CHECK(third.error().message == "no free splice slot (4 of 4 in use)");
  }
  CHECK((*maps)->stats().slots_used == 0);
  CHECK(SplicePair::prepare(**maps, flows[2].downstream(), flows[2].upstream(), SPLICE_NO_RING));
}

TEST_CASE("a slot is not used again while its socket is in the map") {
  auto maps = SpliceMaps::load({.slots = 4});
  REQUIRE(maps);
  Flow old, fresh;
  {
    auto pair = SplicePair::prepare(**maps, old.downstream(), old.upstream(), SPLICE_NO_RING);
    REQUIRE(pair);
    REQUIRE(pair->insert(Side::kDownstream));
  }  // its slots are given back, its sockets are open still
  auto pair = SplicePair::prepare(**maps, fresh.downstream(), fresh.upstream(), SPLICE_NO_RING);
  REQUIRE(pair);
  CHECK(pair->insert(Side::kDownstream));
  CHECK(pair->insert(Side::kUpstream));
  pair->arm();
  REQUIRE(send(fresh.client(), "new", 3, 0) == 3);
  CHECK(read(fresh.server(), 3) == "new");
}

TEST_CASE("the ring tells when PASSing begins, once, and says when it could not") {
  auto maps = SpliceMaps::load({.rings = 1, .limit_skbs = 0});  // so that nothing is ever redirected
  REQUIRE(maps);
  std::vector<uint32_t> told;
  int lost = 0;
  auto ring = bpf::SpliceRing::open(
      **maps, 0, [&](uint32_t slot) { told.push_back(slot); }, [&] { ++lost; });
  REQUIRE(ring);
  Flow flow;
  auto pair = SplicePair::prepare(**maps, flow.downstream(), flow.upstream(), 0);
  REQUIRE(pair);
  REQUIRE(pair->insert(Side::kUpstream));
  REQUIRE(pair->insert(Side::kDownstream));
  pair->arm();
  REQUIRE(send(flow.client(), "a", 1, 0) == 1);
  REQUIRE(send(flow.client(), "b", 1, 0) == 1);
  CHECK(read(flow.downstream(), 2) == "ab");
  pollfd fd{(*ring)->fd(), POLLIN, 0};
  REQUIRE(poll(&fd, 1, 5000) == 1);
  (*ring)->consume();
  CHECK(told == std::vector{pair->slot(Side::kDownstream)});
  CHECK(pair->pass_reason(Side::kDownstream) == SPLICE_REASON_QUEUE);

  pair->publish(Side::kDownstream, 2);
  for (int i = 0; i < 2000; ++i) {
    REQUIRE(send(flow.client(), "x", 1, 0) == 1);
    REQUIRE(read(flow.downstream(), 1) == "x");
    pair->publish(Side::kDownstream, 1);
  }
  (*ring)->consume();
  CHECK(told.size() >= 1000);
  CHECK(told.size() < 2001);
  CHECK(lost == 1);
}

TEST_CASE("the kill switch holds for all, and a failure cannot be taken back") {
  auto maps = SpliceMaps::load({});
  REQUIRE(maps);
  CHECK((*maps)->enabled());
  (*maps)->set_enabled(false);
  CHECK_FALSE((*maps)->enabled());
  (*maps)->set_enabled(true);
  CHECK((*maps)->enabled());
  (*maps)->disable("first");
  (*maps)->disable("second");
  (*maps)->set_enabled(true);
  CHECK_FALSE((*maps)->enabled());
  CHECK((*maps)->disabled_reason() == "first");
}

TEST_CASE("options out of range are named") {
  CHECK(SpliceMaps::load({.slots = 1000}).error().message ==
        "splice slots 1000: expected a power of two, 4 or more");
  CHECK(SpliceMaps::load({.rings = 65}).error().message == "splice rings 65: expected 64 at most");
}
