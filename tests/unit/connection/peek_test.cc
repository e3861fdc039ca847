#include "connection/peek.h"

#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <string>

#include "base/fd.h"
#include "net/listening_socket.h"

using namespace sockmesh;
using namespace sockmesh::connection;
using namespace std::chrono_literals;

namespace {

// A connected pair, and a loop that runs until the peek ends.
struct Fixture {
  Fixture() {
    const Fd listener = std::move(*net::listen_on({IpAddress::loopback(false), 0}, {}));
    const auto address = SocketAddress::local_of(listener.get()).value();
    sockaddr_storage storage{};
    const socklen_t length = address.to_sockaddr(storage);
    client = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(connect(client.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0);
    server = event::WatchedFd(Fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)));
    loop = std::move(*event::Loop::create(event::Backend::kEpoll));
  }
  void send_text(const std::string& text) {
    REQUIRE(send(client.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  }
  // Peeks until `wanted` bytes are there; how it ended. `more` is sent once something was looked at.
  PeekEnd peek(size_t wanted, size_t limit, std::optional<Duration> timeout, std::string more = "") {
    PeekEnd result{};
    Peek peeking(
        *loop, server, limit, timeout,
        [&](std::span<const uint8_t> bytes) {
          ++looks;
          seen.assign(bytes.begin(), bytes.end());
          if (!more.empty()) send_text(std::exchange(more, ""));
          return bytes.size() >= wanted;
        },
        [&](PeekEnd end) {
          result = end;
          loop->stop();
        });
    loop->run();
    return result;
  }

  Fd client;
  std::unique_ptr<event::Loop> loop;
  event::WatchedFd server;  // goes before the loop that may watch it
  std::string seen;
  int looks = 0;
};

}  // namespace

TEST_CASE("peeking takes nothing") {
  Fixture fixture;
  fixture.send_text("hello");
  CHECK(fixture.peek(5, 100, 5s) == PeekEnd::kEnough);
  CHECK(fixture.seen == "hello");
  char buffer[16];
  CHECK(recv(fixture.server.get(), buffer, sizeof buffer, 0) == 5);
}

TEST_CASE("bytes that come later wake it, those that are there do not") {
  Fixture fixture;
  fixture.send_text("he");
  CHECK(fixture.peek(5, 100, 5s, "llo") == PeekEnd::kEnough);
  CHECK(fixture.seen == "hello");
  CHECK(fixture.looks == 2);
}

TEST_CASE("silence ends with the timeout") {
  Fixture fixture;
  fixture.send_text("he");
  CHECK(fixture.peek(5, 100, 30ms) == PeekEnd::kTimeout);
  CHECK(fixture.looks == 1);  // it did not spin
}

TEST_CASE("a client that closes too early") {
  Fixture fixture;
  if (GENERATE(false, true)) fixture.send_text("he");
  shutdown(fixture.client.get(), SHUT_WR);
  CHECK(fixture.peek(5, 100, 5s) == PeekEnd::kClosed);
}

TEST_CASE("the limit is enough") {
  Fixture fixture;
  fixture.send_text("hello world");
  CHECK(fixture.peek(1000, 5, 5s) == PeekEnd::kEnough);
  CHECK(fixture.seen == "hello");
}
