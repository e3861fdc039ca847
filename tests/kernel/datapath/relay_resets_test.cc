// An answer whose sender resets the connection right behind it: a server that answers early and closes with
// the request unread, while the client is still uploading. What a direct connection delivers, every lane has
// to.
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
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

// An answer's bytes, and in writes of how many it is sent.
struct Words {
  size_t size, write;
};
// The last two use up the congestion window: of such answers a direct connection loses many in part. A relay
// must not lose more, though the window of its own socket is used up as well.
constexpr Words kWords[] = {{1, 1}, {200, 200}, {30'000, 30'000}, {200, 1}, {6'000, 100}};

// Both applications, driven with poll(2). `uploader` sends until it cannot, and reads only then.
struct EarlyAnswer {
  Fd uploader, answerer;
  Words words;
  bool polite = false;  // the answerer says FIN behind its answer, and is reset by what it then gets

  const std::string answer = std::string(words.size, 'a');
  size_t unsent = 0;  // of the answer, what the answerer's kernel had not sent when it closed
  std::string got;
  End end = End::kNone;

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
        for (size_t at = 0; at < words.size; at += words.write) put(answerer, answer.substr(at, words.write));
        if (polite) shutdown(answerer.get(), SHUT_WR);
        close_answerer();
      }
    }
    got = get(uploader, answer.size());
    end = wait_for_end(uploader);
  }
  void close_answerer() {
    int bytes = 0;
    REQUIRE(ioctl(answerer.get(), SIOCOUTQNSD, &bytes) == 0);
    unsent = static_cast<size_t>(bytes);
    if (polite && unsent > 0) --unsent;  // FIN counts, and is the last
    answerer.reset();
  }
  // The kernel of who closes with bytes unread sends RST in place of what it has not sent yet. All before
  // that is to arrive: at least so much, since an acknowledgement may have let more go in the last moment.
  void require_answer() const {
    INFO("of " << words.size << " bytes, in writes of " << words.write << ", " << got.size() << " came and "
               << unsent << " had not been sent");
    REQUIRE(got.size() + unsent >= words.size);
    REQUIRE(got == answer.substr(0, got.size()));
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
  const Words words = GENERATE(from_range(std::begin(kWords), std::end(kWords)));
  for (int i = 0; i < 20; ++i) {
    auto [client, server] = tcp_pair(i % 2 == 1);
    for (const Fd* fd : {&client, &server}) REQUIRE(fcntl(fd->get(), F_SETFL, O_NONBLOCK) == 0);
    EarlyAnswer flow{std::move(client), std::move(server), words, i % 4 > 1};
    flow.run();
    flow.require_answer();
  }
}

TEST_CASE("a direct connection loses of an early answer what its sender's kernel had not sent") {
  auto [client, server] = tcp_pair(false);
  const int corked = 1;  // nothing is sent yet, as when the congestion window is used up
  REQUIRE(setsockopt(server.get(), IPPROTO_TCP, TCP_CORK, &corked, sizeof corked) == 0);
  put(client, "question");
  EarlyAnswer flow{std::move(client), std::move(server), {200, 200}};
  put(flow.answerer, flow.answer);
  flow.close_answerer();
  CHECK(flow.unsent == 200);
  CHECK(wait_for_end(flow.uploader) == End::kRst);
}

TEST_CASE("relay matrix: an early answer whose sender closes with the request unread") {
  const auto cell = GENERATE(from_range(matrix()));
  const bool by_client = GENERATE(false, true);
  INFO(describe(cell) << (by_client ? ", answered by the client" : ", answered by the server"));
  RelayWorld world(cell.lane);
  int unlucky = 0;
  for (int i = 0; i < 60; ++i) {
    const uint64_t dropped = dropped_packets();
    const Words words = kWords[static_cast<size_t>(i) % std::size(kWords)];
    INFO("flow " << i);
    Legs legs = connect_legs(cell.ipv6);
    const size_t number = world.relay(std::move(legs.sockets));
    if (i % 2) chat(legs.client, legs.server);
    EarlyAnswer flow{std::move(by_client ? legs.server : legs.client),
                     std::move(by_client ? legs.client : legs.server), words, i % 4 > 1};
    flow.run();
    const Outcome outcome = world.wait_for_outcome(number);
    if (flow.got.empty() && dropped_packets() != dropped) {  // by the machine, not by us
      REQUIRE(++unlucky < 5);
      continue;
    }
    INFO("the relay had received " << outcome.progress.received() << " and sent " << outcome.progress.sent()
                                   << ", " << outcome.detail << ", " << outcome.progress.lane_reason);
    flow.require_answer();
    CHECK(outcome.reason == (by_client ? CloseReason::kDownstreamReset : CloseReason::kUpstreamReset));
    const uint64_t chatted = i % 2 ? 20 * 6 : 0, asked = i % 2 ? 20 * 8 : 0;
    if (by_client)
      CHECK(outcome.progress.received() == flow.got.size() + asked);
    else
      CHECK(outcome.progress.sent() == flow.got.size() + chatted);
  }
  CHECK(world.stats().lanes[datapath::Lane::kSkSkb].stuck == 0);
}

}  // namespace sockmesh::test
