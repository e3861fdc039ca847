// A process that dies in the middle of its flows is not the end of anybody's stream: both applications are
// reset, in every lane, whatever had been moved.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "relay_world.h"
#include "test_support/eventually.h"

namespace sockmesh::test {

namespace {

// A child that relays. Its copies of the applications' sockets are closed, so that their ends are the test's
// alone; and so are the test's copies of the relay's.
class Child {
 public:
  Child(const LaneSpec& lane, std::vector<Legs>& flows) {
    int started[2];
    REQUIRE(pipe(started) == 0);
    const Fd told(started[0]), tell(started[1]);
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) relay(lane, flows, tell.get());
    for (Legs& legs : flows) legs.sockets = {};
    char byte;
    REQUIRE(read(told.get(), &byte, 1) == 1);
  }
  ~Child() {
    if (pid_ > 0) die(SIGKILL);
  }
  void die(int signal) {
    kill(pid_, signal);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  [[noreturn]] static void relay(const LaneSpec& lane, std::vector<Legs>& flows, int tell) {
    std::signal(SIGABRT, SIG_DFL);  // the test runner's own
    RelayWorld world(lane);
    for (Legs& legs : flows) {
      legs.client.reset();
      legs.server.reset();
      world.relay(std::move(legs.sockets));
    }
    if (write(tell, "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  pid_t pid_ = -1;
};

}  // namespace

TEST_CASE("relay matrix: killed in mid-stream, both ends are reset") {
  const auto cell = GENERATE(from_range(matrix()));
  const int signal = GENERATE(SIGKILL, SIGABRT);
  INFO(describe(cell) << ", signal " << signal);
  std::vector<Legs> flows;
  for (int i = 0; i < 4; ++i) flows.push_back(connect_legs(cell.ipv6));
  Child agent(cell.lane, flows);
  const Legs &silent = flows[0], &talking = flows[1], &full = flows[2], &half = flows[3];
  put(talking.client, "question");
  REQUIRE(get(talking.server, 8) == "question");
  put(talking.server, "answer");
  REQUIRE(get(talking.client, 6) == "answer");
  // The server does not read, until nothing goes in any more.
  const std::string bytes(1 << 20, 'b');
  auto since = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - since < std::chrono::milliseconds(200))
    if (send(full.client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
      since = std::chrono::steady_clock::now();
  // One direction has ended, the other has not.
  put(half.client, "last");
  shutdown(half.client.get(), SHUT_WR);
  REQUIRE(get(half.server, 4) == "last");
  REQUIRE(wait_for_end(half.server) == End::kFin);
  put(half.server, "first");
  REQUIRE(get(half.client, 5) == "first");

  agent.die(signal);
  for (const Legs* legs : {&silent, &talking, &full}) {
    CHECK(wait_for_end(legs->client) == End::kRst);
    CHECK(wait_for_end(legs->server) == End::kRst);
  }
  CHECK(wait_for_end(half.client) == End::kRst);
}

}  // namespace sockmesh::test
