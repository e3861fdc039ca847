// One agent a network namespace: a second one goes away without a trace, and a next one may follow.
#include <sys/socket.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <thread>

#include "mesh.h"
#include "test_support/eventually.h"

namespace sockmesh::test {
namespace {

SocketAddress address(const std::string& text) { return SocketAddress::parse(text).value(); }

// Short connections without a pause, from several threads in the pod; what became of them.
class Load {
 public:
  Load(Pod& from, const SocketAddress& to) {
    for (int i = 0; i < 3; ++i)
      threads_.emplace_back([this, &from, to] { from.netns.run([&] { run(to); }); });
  }
  ~Load() { stop(); }
  void stop() {
    over_ = true;
    for (std::thread& thread : threads_)
      if (thread.joinable()) thread.join();
  }
  int answered() const { return answered_; }
  int lost() const { return lost_; }

 private:
  void run(const SocketAddress& to) {
    while (!over_) {
      const Fd fd(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_storage storage{};
      const socklen_t length = to.to_sockaddr(storage);
      char answer[16];
      const bool good = connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0 &&
                        send(fd.get(), "x\n", 2, MSG_NOSIGNAL) == 2 &&
                        recv(fd.get(), answer, sizeof answer, 0) > 0;
      ++(good ? answered_ : lost_);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  std::atomic<bool> over_{false};
  std::atomic<int> answered_{0}, lost_{0};
  std::vector<std::thread> threads_;
};

struct WebAndDb {
  WebAndDb() { mesh.echo(db, 9000, "db"); }
  std::string ask() { return mesh.ask(web, address("10.12.0.12:9000"), "hi"); }
  Mesh mesh;
  Pod& web = mesh.pod("web", "10.12.0.11");
  Pod& db = mesh.pod("db", "10.12.0.12");
};

TEST_CASE("a second agent in a namespace ends with a message that names the first, which loses nothing") {
  WebAndDb two;
  Agent& first = two.mesh.sidecar(two.web, "web-1");
  Load load(two.web, address("10.12.0.12:9000"));
  const int starts = 60;
  for (int i = 0; i < starts; ++i) {
    const auto [status, said] = two.mesh.refused_agent(two.web, "web-2");
    INFO(said);
    CHECK(status == 1);
    CHECK_THAT(said, Catch::Contains("another agent has this network namespace") &&
                         Catch::Contains(fmt::format("pid {}", first.process().pid())) &&
                         Catch::Contains("pod web-1.default, run-dir " + first.run_dir()));
  }
  load.stop();
  CHECK(load.answered() > starts);
  CHECK(load.lost() == 0);
  CHECK(first.process().running());
}

TEST_CASE("the namespace is free again as soon as its agent is gone, however it went") {
  WebAndDb two;
  Agent& first = two.mesh.sidecar(two.web, "web-1");
  CHECK(two.ask() == "db hi");
  const bool killed = GENERATE(true, false);
  if (killed) first.process().kill();
  if (!killed) CHECK(first.process().stop() == 0);
  two.mesh.agent(two.web, "web-2");
  CHECK(two.ask() == "db hi");
}

TEST_CASE("the next agent starts while the last one, drained, sees its connections through") {
  WebAndDb two;
  Agent& last = two.mesh.sidecar(two.web, "web-1");
  Fd open;
  two.web.netns.run([&] {
    open = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage storage{};
    const socklen_t length = address("10.12.0.12:9000").to_sockaddr(storage);
    REQUIRE(connect(open.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0);
  });
  EVENTUALLY(last.open_flows() == 1);
  must_run({built_program("sockmeshctl"), "--run-dir", last.run_dir(), "drain", "--now"});
  EVENTUALLY(two.ask() == "");  // nobody listens
  // Readiness and metrics are still the last one's.
  Agent& next = two.mesh.agent(two.web, "web-2",
                               {.more = {"--readiness-port", "25021", "--status-port", "25020",
                                         "--metrics-port", "25090", "--admin-port", "25000"},
                                .ready = false});
  EVENTUALLY(two.ask() == "db hi");
  CHECK(send(open.get(), "still\n", 6, MSG_NOSIGNAL) == 6);
  char answer[32];
  REQUIRE(recv(open.get(), answer, sizeof answer, 0) == 9);
  CHECK(std::string(answer, 9) == "db still\n");
  CHECK(last.process().stop() == 0);
  CHECK(two.ask() == "db hi");
  CHECK(next.process().running());
}

}  // namespace
}  // namespace sockmesh::test
