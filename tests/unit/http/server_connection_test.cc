#include "http/server_connection.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <deque>

namespace sockmesh::http {

namespace {

using State = ServerConnection::State;
using namespace std::chrono_literals;

// The client's side as strings.
struct Wire final : Transport {
  std::deque<std::string> coming;  // each one read; "" is FIN
  std::string sent;
  size_t takes = SIZE_MAX;  // bytes that it accepts in all
  bool ended = false;

  ssize_t read(char* into, size_t size) override {
    if (coming.empty()) return errno = EAGAIN, -1;
    const std::string piece = coming.front().substr(0, size);
    coming.front().erase(0, piece.size());
    if (coming.front().empty()) coming.pop_front();
    piece.copy(into, piece.size());
    return static_cast<ssize_t>(piece.size());
  }
  ssize_t write(const iovec* parts, int count) override {
    size_t written = 0;
    for (int i = 0; i < count; ++i) {
      const size_t length = std::min(parts[i].iov_len, takes - written);
      sent.append(static_cast<const char*>(parts[i].iov_base), length);
      written += length;
    }
    takes -= written;
    if (written == 0 && count > 0) return errno = EAGAIN, -1;
    return static_cast<ssize_t>(written);
  }
  void end_writing() override { ended = true; }
};

struct Fixture {
  Wire wire;
  ConnectionBounds bounds;
  MonotonicTime now{};
  ServerConnection connection{wire, bounds, now};

  void receive(const std::string& bytes) {
    wire.coming.push_back(bytes);
    while (!wire.coming.empty() && connection.wants_to_read()) connection.readable(now);
  }
  std::string status() const { return wire.sent.substr(0, wire.sent.find('\r')); }
  void wait_until_deadline() {
    now = connection.deadline();
    connection.expired(now);
  }
};

const std::string kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

}  // namespace

TEST_CASE("a request, its answer, FIN, and the client's FIN") {
  Fixture f;
  f.receive(kGet);
  REQUIRE(f.connection.state() == State::kAnswering);
  CHECK(f.connection.take_request().path == "/");
  f.connection.answer(text_response(200, "ok"), f.now);
  CHECK(f.wire.sent.ends_with("\r\n\r\nok\n"));
  CHECK(f.wire.ended);
  CHECK(f.connection.state() == State::kLingering);
  f.receive("");
  CHECK(f.connection.state() == State::kClosed);
}

TEST_CASE("the deadline is of the whole request, whatever trickles in") {
  Fixture f;
  const MonotonicTime deadline = f.connection.deadline();
  CHECK(deadline == f.now + 5s);
  for (const char c : kGet.substr(0, 20)) {
    f.now += 100ms;
    f.receive(std::string(1, c));
  }
  CHECK(f.connection.deadline() == deadline);
  f.wait_until_deadline();
  CHECK(f.status() == "HTTP/1.1 408 Request Timeout");

  Fixture silent;
  silent.wait_until_deadline();
  CHECK(silent.connection.state() == State::kClosed);
  CHECK(silent.wire.sent.empty());
}

TEST_CASE("the deadline is of the whole answer, whatever trickles out") {
  Fixture f;
  f.receive(kGet);
  f.wire.takes = 100;
  f.connection.answer({.body = {part(std::string(1000, 'x'))}}, f.now);
  REQUIRE(f.connection.state() == State::kWriting);
  const MonotonicTime deadline = f.connection.deadline();
  CHECK(deadline == f.now + 10s);
  f.now += 5s;
  f.wire.takes = 10;
  f.connection.writable(f.now);
  CHECK(f.connection.moved() == f.now);
  CHECK(f.connection.deadline() == deadline);
  f.wait_until_deadline();
  CHECK(f.connection.state() == State::kClosed);
}

TEST_CASE("an answer in parts goes out in pieces of any size, and lets go of each part") {
  Fixture f;
  f.receive(kGet);
  const Part first = part("first "), second = part(""), third = part("third");
  f.wire.takes = 0;
  f.connection.answer({.body = {first, second, third}}, f.now);
  while (f.connection.state() == State::kWriting) {
    f.wire.takes = 1;
    f.connection.writable(f.now);
  }
  CHECK(f.wire.sent.ends_with("Content-Length: 11\r\nConnection: close\r\n\r\nfirst third"));
  CHECK(first.use_count() == 1);
  CHECK(third.use_count() == 1);
}

TEST_CASE("HEAD gets the length without the body") {
  Fixture f;
  f.receive("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  f.connection.answer(text_response(200, "ok"), f.now);
  CHECK(f.wire.sent.find("Content-Length: 3\r\n") != std::string::npos);
  CHECK(f.wire.sent.ends_with("\r\n\r\n"));
}

TEST_CASE("100 Continue comes before the body is sent, and not twice") {
  Fixture f;
  f.receive("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  CHECK(f.wire.sent == "HTTP/1.1 100 Continue\r\n\r\n");
  f.receive("ab");
  f.receive("cd");
  REQUIRE(f.connection.state() == State::kAnswering);
  CHECK(f.connection.take_request().body == "abcd");
  CHECK(f.wire.sent == "HTTP/1.1 100 Continue\r\n\r\n");

  Fixture large;
  large.receive("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
  CHECK(large.status() == "HTTP/1.1 413 Content Too Large");
}

TEST_CASE("pipelined requests: the first is answered, the connection says that it closes") {
  Fixture f;
  f.receive(kGet + kGet);
  f.connection.answer(text_response(200, "ok"), f.now);
  f.receive(kGet);
  CHECK(f.wire.sent.find("HTTP/1.1", 1) == std::string::npos);
  CHECK(f.wire.sent.find("Connection: close\r\n") != std::string::npos);
  CHECK(f.connection.state() == State::kLingering);
}

TEST_CASE("a refusal reaches who is still sending, for a bounded number of bytes and a bounded time") {
  Fixture f;
  f.receive("nonsense\r\n\r\n");
  CHECK(f.status() == "HTTP/1.1 400 Bad Request");
  REQUIRE(f.connection.state() == State::kLingering);
  f.receive(std::string(f.bounds.linger_bytes, 'x'));
  CHECK(f.connection.state() == State::kLingering);
  f.receive("x");
  CHECK(f.connection.state() == State::kClosed);

  Fixture quiet;
  quiet.receive("nonsense\r\n\r\n");
  quiet.wait_until_deadline();
  CHECK(quiet.connection.state() == State::kClosed);
}

TEST_CASE("a client that leaves before its request is whole is not answered") {
  Fixture f;
  f.receive("GET /");
  f.receive("");
  CHECK(f.connection.state() == State::kClosed);
  CHECK(f.wire.sent.empty());
}

}  // namespace sockmesh::http
