// Peers that mean no good, at the ports which anybody can reach: they are slow, silent, endless or many. The
// pod stays ready, sockmeshctl works, memory stays bounded, and ending waits for none of them.
//
//   pod store (agent: 15020, 15021, 15090) ── node ── pod stranger
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <thread>

#include "mesh.h"
#include "test_support/eventually.h"
#include "test_support/http.h"

namespace sockmesh::test {
namespace {

using namespace std::chrono_literals;

constexpr uint64_t kMiB = 1024 * 1024;
constexpr uint16_t kPorts[] = {15020, 15021, 15090};

// What a kubelet gives a probe, and a person a command.
constexpr auto kProbe = 1s, kCommand = 3s;

struct Strangers {
  explicit Strangers(const AgentOptions& options = {})
      : store(mesh.pod("store", "10.12.0.11")),
        stranger(mesh.pod("stranger", "10.12.0.12")),
        agent(mesh.sidecar(store, "store-0", options)) {}

  // A connection of the stranger; with `extra` addresses, from another one each time.
  Fd dial(uint16_t port, bool ipv6 = false) {
    Fd fd;
    const SocketAddress to = store.at(port, ipv6);
    stranger.netns.run([&] {
      fd = Fd(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
      const int small = 4096;
      ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
      const timeval patience{10, 0};
      ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      sockaddr_storage storage{};
      const socklen_t length = to.to_sockaddr(storage);
      if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) fd.reset();
    });
    return fd;
  }

  // The kubelet's probe and a person's command, within what those give them.
  void check_serving() {
    const auto timed = [](auto limit, auto what) {
      const auto began = std::chrono::steady_clock::now();
      const bool right = what();
      return right && std::chrono::steady_clock::now() - began < patient(limit);
    };
    for (const bool ipv6 : {false, true})
      for (const uint16_t port : {15021, 15020})
        CHECK(timed(kProbe, [&] {
          const auto response = http_get(mesh.node(), store.at(port, ipv6), "/healthz/ready");
          return response && response->status == 200;
        }));
    CHECK(timed(kCommand, [&] { return agent.ctl("flows").contains("total"); }));
    CHECK(timed(kProbe, [&] {
      const auto response = http_get(mesh.node(), store.at(15090), "/stats/prometheus");
      return response && response->status == 200;
    }));
  }

  void check_end() {
    const auto began = std::chrono::steady_clock::now();
    agent.process().signal(SIGINT);
    CHECK(agent.process().wait().value_or(-1) == 0);
    CHECK(std::chrono::steady_clock::now() - began < patient(2s));
  }

  Mesh mesh;
  Pod& store;
  Pod& stranger;
  Agent& agent;
};

bool say(const Fd& fd, std::string_view bytes) {
  return ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

TEST_CASE("500 silent peers, and such as send a byte now and then, keep nobody waiting") {
  Strangers s;
  std::vector<Fd> silent;
  for (int i = 0; i < 500; ++i) {
    silent.push_back(s.dial(kPorts[i % 3], i % 2 == 0));
    if (i % 4 == 0) say(silent.back(), "GET /healthz/ready HTTP/1.1\r\nX: a");
  }
  std::atomic<bool> over{false};
  std::thread dripping([&] {
    while (!over) {
      for (const Fd& fd : silent) say(fd, "a");
      std::this_thread::sleep_for(50ms);
    }
  });
  for (int i = 0; i < 5; ++i) s.check_serving();
  s.check_end();
  over = true;
  dripping.join();
}

TEST_CASE("endless headers, endless chunks and ranges cost a bounded number of bytes") {
  Strangers s;
  s.check_serving();
  const uint64_t before = s.agent.resident();
  const std::string header = "a:" + std::string(7000, 'b') + "\r\n",
                    chunk = "10000\r\n" + std::string(65536, 'b') + "\r\n";
  for (const uint16_t port : kPorts) {
    const Fd headers = s.dial(port), chunks = s.dial(port);
    say(headers, "GET /healthz/ready HTTP/1.1\r\n");
    say(chunks, "POST /healthz/ready HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    // Until the agent has had enough; 50 MB are more than it ever should take.
    uint64_t sent = 0;
    while (sent < 50 * kMiB && say(headers, header)) sent += header.size();
    CHECK(sent < 50 * kMiB);
    sent = 0;
    while (sent < 50 * kMiB && say(chunks, chunk)) sent += chunk.size();
    CHECK(sent < 50 * kMiB);
  }
  std::string ranges = "GET /stats/prometheus HTTP/1.1\r\nHost: a\r\nRange: bytes=0-";
  for (int i = 0; i < 2500; ++i) ranges += ",0-";
  const Fd ranged = s.dial(15090);
  say(ranged, ranges + "\r\n\r\n");
  uint64_t got = 0;
  char part[65536];
  for (ssize_t n; (n = ::recv(ranged.get(), part, sizeof part, 0)) > 0;) got += static_cast<uint64_t>(n);
  CHECK(got > 0);
  CHECK(got < kMiB);
  s.check_serving();
  if (!sanitized()) CHECK(s.agent.resident() < before + 8 * kMiB);
}

TEST_CASE("readers that never read cost a bounded number of bytes") {
  Strangers s;
  const uint64_t before = s.agent.resident();
  std::vector<Fd> deaf;
  for (int i = 0; i < 200; ++i) {
    deaf.push_back(s.dial(i % 2 ? 15090 : 15020));
    say(deaf.back(), fmt::format("GET /stats/prometheus?{} HTTP/1.1\r\nHost: a\r\n\r\n", i));
  }
  // The operator's largest answer, over loopback.
  std::vector<Fd> dumps;
  s.store.netns.run([&] {
    for (int i = 0; i < 200; ++i) {
      Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_storage storage{};
      const socklen_t length = SocketAddress{IpAddress::loopback(false), 15000}.to_sockaddr(storage);
      if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) continue;
      say(fd, "GET /config_dump?include_eds HTTP/1.1\r\nHost: a\r\n\r\n");
      dumps.push_back(std::move(fd));
    }
  });
  s.check_serving();
  if (!sanitized()) CHECK(s.agent.resident() < before + 16 * kMiB);
  s.check_end();
}

TEST_CASE("thousands of connections that come and go leave the pod ready") {
  Strangers s;
  std::atomic<bool> over{false};
  std::atomic<uint64_t> made{0};
  std::thread churning([&] {
    s.stranger.netns.run([&] {
      sockaddr_storage storage{};
      uint64_t i = 0;
      while (!over) {
        const socklen_t length = s.store.at(kPorts[i++ % 3]).to_sockaddr(storage);
        const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const linger reset{1, 0};
        ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0) ++made;
      }
    });
  });
  for (int i = 0; i < 5; ++i) s.check_serving();
  const size_t before = s.agent.descriptors();
  over = true;
  churning.join();
  INFO(made << " connections");
  CHECK(made > 1000);
  CHECK(before < 500);
  s.check_end();
}

}  // namespace
}  // namespace sockmesh::test
