// An answer whose sender resets the connection right behind it: a server that answers early and closes with
// the request unread, while the client is still uploading. What a direct connection delivers, every lane has
// to.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "relay_world.h"
#include "test_support/eventually.h"
#include "test_support/tcp_pair.h"

namespace sockmesh::test {

using datapath::CloseReason;
using datapath::Outcome;

namespace {

constexpr size_t kRequest = 65'536;     // what the answering side reads before it answers
constexpr uint64_t kUpload = 32 << 20;  // what the uploading side would send

// Both applications, driven with poll(2). `uploader` sends until it cannot, and reads only then.
struct EarlyAnswer {
  Fd uploader, answerer;
  std::string answer;
  bool polite = false;  // the answerer says FIN behind its answer, and is reset by what it then gets

  std::string got;
  End end = End::none;

  void run() {
    const std::string bytes(65'536, 'u');
    std::vector<char> scratch(65'536);
    uint64_t sent = 0;
    size_t read = 0;
    bool uploading = true;
    const auto deadline = std::chrono::steady_clock::now() + patient(std::chrono::seconds(30));
    while ((uploading || answerer) && std::chrono::steady_clock::now() < deadline) {
      pollfd fds[] = {{uploading ? uploader.get() : -1, POLLOUT, 0}, {answerer.get(), POLLIN, 0}};
      poll(fds, 2, 1000);
      if (fds[0].revents) {
        const auto n = send(uploader.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) sent += static_cast<uint64_t>(n);
        uploading = sent < kUpload && (n > 0 || errno == EAGAIN);
      }
      if (answerer && fds[1].revents) {
        const auto n = recv(answerer.get(), scratch.data(), kRequest - read, MSG_DONTWAIT);
        if (n > 0) read += static_cast<size_t>(n);
        if (read < kRequest) continue;
        put(answerer, answer);
        if (polite) shutdown(answerer.get(), SHUT_WR);
        answerer.reset();
      }
    }
    got = get(uploader, answer.size());
    end = wait_for_end(uploader);
  }
};

// Packets that the kernel dropped because nobody came to take them from a processor's queue, on all
// processors. A sender that resets never sends them again, with or without a relay in between.
uint64_t dropped_packets() {
  std::ifstream file("/proc/net/softnet_stat");
  uint64_t sum = 0;
  for (std::string line; std::getline(file, line);) {
    uint64_t processed = 0, dropped = 0;
    std::istringstream(line) >> std::hex >> processed >> dropped;
    sum += dropped;
  }
  return sum;
}

// So that a mode that looks at the traffic first takes the flow into its fast lane.
void chat(const Fd& a, const Fd& b) {
  for (int i = 0; i < 20; ++i) {
    put(a, "question");
    REQUIRE(get(b, 8) == "question");
    put(b, "answer");
    REQUIRE(get(a, 6) == "answer");
  }
}

}  // namespace

TEST_CASE("a direct connection delivers an early answer whose sender closes with the request unread") {
  const size_t size = GENERATE(1u, 200u, 30'000u);
  for (int i = 0; i < 20; ++i) {
    auto [client, server] = tcp_pair(i % 2 == 1);
    for (const Fd* fd : {&client, &server}) REQUIRE(fcntl(fd->get(), F_SETFL, O_NONBLOCK) == 0);
    EarlyAnswer flow{std::move(client), std::move(server), std::string(size, 'a'), i % 4 > 1, {}, {}};
    flow.run();
    REQUIRE(flow.got == flow.answer);
  }
}

TEST_CASE("relay matrix: an early answer whose sender closes with the request unread") {
  const auto cell = GENERATE(from_range(matrix()));
  const bool by_client = GENERATE(false, true);
  INFO(describe(cell) << (by_client ? ", answered by the client" : ", answered by the server"));
  RelayWorld world(cell.lane);
  int unlucky = 0;
  for (int i = 0; i < 60; ++i) {
    const uint64_t dropped = dropped_packets();
    const size_t size = std::array{1u, 200u, 30'000u}[static_cast<size_t>(i) % 3];
    INFO("flow " << i << ", " << size << " bytes");
    Legs legs = connect_legs(cell.ipv6);
    const size_t number = world.relay(std::move(legs.sockets));
    if (i % 2) chat(legs.client, legs.server);
    EarlyAnswer flow{std::move(by_client ? legs.server : legs.client),
                     std::move(by_client ? legs.client : legs.server),
                     std::string(size, 'a'),
                     i % 4 > 1,
                     {},
                     {}};
    flow.run();
    const Outcome outcome = world.wait_for_outcome(number);
    if (flow.got.empty() && dropped_packets() != dropped) {  // by the machine, not by us
      REQUIRE(++unlucky < 5);
      continue;
    }
    INFO("the relay had received " << outcome.progress.received << " and sent " << outcome.progress.sent
                                   << ", " << outcome.detail << ", " << outcome.progress.lane_reason);
    REQUIRE(flow.got.size() == size);
    REQUIRE(flow.got == flow.answer);
    CHECK(outcome.reason == (by_client ? CloseReason::kDownstreamReset : CloseReason::kUpstreamReset));
    const uint64_t chatted = i % 2 ? 20 * 6 : 0, asked = i % 2 ? 20 * 8 : 0;
    if (by_client)
      CHECK(outcome.progress.received == size + asked);
    else
      CHECK(outcome.progress.sent == size + chatted);
  }
  CHECK(world.stats().watchdog_resets == 0);
}

}  // namespace sockmesh::test
