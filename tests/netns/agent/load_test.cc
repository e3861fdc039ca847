// Many connections through two sidecars: not a byte lost, not a descriptor kept.
#include <sys/socket.h>
#include <sys/time.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "test_support/eventually.h"
#include "two_sidecars.h"

namespace sockmesh::test {
namespace {

// The agents hold on to nothing once the flows are over.
void check_nothing_kept(TwoSidecars& two, size_t client_before, size_t store_before) {
  EVENTUALLY(two.client.descriptors() <= client_before);
  EVENTUALLY(two.store.descriptors() <= store_before);
}

TEST_CASE("10,000 short connections through two sidecars and all workers") {
  TwoSidecars two;
  two.check({.flows = 10});  // what is made on first use is there now
  const size_t client_before = two.client.descriptors(), store_before = two.store.descriptors();
  two.check({.flows = sanitized() ? 2000 : 10'000, .bytes = 500, .client_options = {"--concurrency", "50"}});
  check_nothing_kept(two, client_before, store_before);
}

TEST_CASE("with few descriptors the agent carries half as many connections, resets the others, and is well") {
  constexpr size_t kDescriptors = 700, kTooMany = 5;
  constexpr size_t kMost = (kDescriptors - 480) / 2;
  Mesh mesh;
  Pod& pod = mesh.pod("client-0", "10.12.0.11");
  Pod& other = mesh.pod("store-0", "10.12.0.12");
  mesh.echo(other, 7000, "store");
  const SocketAddress to = other.at(7000);
  Agent& agent =
      mesh.sidecar(pod, "client-0", {.before = {"prlimit", fmt::format("--nofile={0}:{0}", kDescriptors)}});
  std::vector<Fd> clients;
  const auto dial = [&](size_t all) {
    const timeval patience{patient(std::chrono::seconds(10)).count() / 1000, 0};
    sockaddr_storage storage{};
    const socklen_t length = to.to_sockaddr(storage);
    pod.netns.run([&] {
      while (clients.size() < all) {
        clients.emplace_back(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
        setsockopt(clients.back().get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        REQUIRE(connect(clients.back().get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0);
      }
    });
  };
  dial(kMost);
  EVENTUALLY(agent.open_flows() == kMost);
  dial(kMost + kTooMany);
  for (size_t i = kMost; i < clients.size(); ++i) {
    char byte = 0;
    CHECK(recv(clients[i].get(), &byte, 1, 0) == -1);
    CHECK(errno == ECONNRESET);
  }
  EVENTUALLY(agent.log().size() == kTooMany);
  for (const AccessLine& line : agent.log()) CHECK(line.flags == "OM");
  CHECK(agent.open_flows() == kMost);
  CHECK(agent.descriptors() <= kDescriptors);
  CHECK(agent.readiness().first == 200);
  clients.clear();
  EVENTUALLY(agent.open_flows() == 0);
  CHECK(mesh.ask(pod, to, "hi") == "store hi");
}

TEST_CASE("1,000 concurrent streams through two sidecars and all workers") {
  TwoSidecars two;
  two.check({.flows = 10});
  const size_t client_before = two.client.descriptors(), store_before = two.store.descriptors();
  two.check({.scenario = Scenario::kDuplex, .flows = sanitized() ? 200 : 1000, .bytes = 100'000});
  check_nothing_kept(two, client_before, store_before);
}

}  // namespace
}  // namespace sockmesh::test
