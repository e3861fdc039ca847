// The server on real sockets of loopback, its loop in a thread of its own.
#include "http/server.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <future>
#include <thread>

#include "http/listening.h"
#include "test_support/eventually.h"
#include "test_support/temp_dir.h"

namespace sockmesh::http {

namespace {

using namespace std::chrono_literals;
using test::eventually;

const std::string kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

// A client with patience; every call blocks.
class Peer {
 public:
  explicit Peer(uint16_t port, const std::string& from = "", const std::string& to = "127.0.0.1") {
    const IpAddress target = IpAddress::parse(to).value();
    fd_ = Fd(::socket(target.is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience{30, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const int small = 4096;
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    sockaddr_storage storage{};
    if (!from.empty()) {
      const socklen_t length = SocketAddress{IpAddress::parse(from).value(), 0}.to_sockaddr(storage);
      REQUIRE(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0);
    }
    const socklen_t length = SocketAddress{target, port}.to_sockaddr(storage);
    REQUIRE(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0);
  }
  bool send(std::string_view bytes) const {
    return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  std::string read_all() const {
    std::string all;
    char part[65536];
    for (ssize_t n; (n = ::recv(fd_.get(), part, sizeof part, 0)) > 0;)
      all.append(part, static_cast<size_t>(n));
    return all;
  }
  std::string ask(std::string_view bytes = kGet) const {
    send(bytes);
    return read_all();
  }
  // The server has ended the connection: FIN or RST is here.
  bool ended() const {
    char byte = 0;
    pollfd one{fd_.get(), POLLIN, 0};
    if (::poll(&one, 1, 0) != 1) return false;
    const ssize_t got = ::recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN);
  }
  void close() { fd_.reset(); }

 private:
  Fd fd_;
};

struct Service {
  explicit Service(DoorBounds bounds = {}, size_t answer_bytes = 1 << 20,
                   const std::string& address = "127.0.0.1")
      : server(*loop, answer_bytes) {
    Fd listening = listen_tcp(address, 0).value();
    port = SocketAddress::local_of(listening.get()).value().port;
    server.open(std::move(listening), bounds, [this](Request request, Reply reply) {
      return handler(std::move(request), std::move(reply));
    });
    thread = std::thread([this] { loop->run(); });
  }
  ~Service() {
    loop->stop();
    thread.join();
  }
  // In the loop's thread.
  template <typename F>
  auto in_loop(F what) {
    std::promise<decltype(what())> promise;
    loop->post([&] { promise.set_value(what()); });
    return promise.get_future().get();
  }
  size_t connections() {
    return in_loop([this] { return server.connections(); });
  }

  std::unique_ptr<event::Loop> loop = event::Loop::create(event::Backend::kEpoll).value();
  Handler handler = [](Request request, Reply reply) -> Work {
    reply(text_response(200, "ok " + request.peer.ip.to_string() + " " + request.path));
    return nullptr;
  };
  Server server;
  uint16_t port = 0;
  std::thread thread;
};

}  // namespace

TEST_CASE("a request is answered, and the client's address is known") {
  Service service({}, 1 << 20, "");
  CHECK(Peer(service.port).ask().ends_with("\r\n\r\nok 127.0.0.1 /\n"));
  CHECK(Peer(service.port, "127.0.0.6").ask().ends_with("ok 127.0.0.6 /\n"));
  CHECK(Peer(service.port, "", "::1").ask().ends_with("ok ::1 /\n"));
  CHECK(eventually([&] { return service.connections() == 0; }));
}

TEST_CASE("silent peers of one address do not keep others, nor that address, out") {
  Service service({.connections = 8, .per_peer = 4});
  std::vector<std::unique_ptr<Peer>> silent;
  for (int i = 0; i < 100; ++i) silent.push_back(std::make_unique<Peer>(service.port, "127.0.0.9"));
  CHECK(eventually([&] { return service.connections() == 4; }));
  CHECK(Peer(service.port).ask().starts_with("HTTP/1.1 200"));
  CHECK(Peer(service.port, "127.0.0.9").ask().starts_with("HTTP/1.1 200"));
  CHECK(silent.front()->ended());
  CHECK_FALSE(silent.back()->ended());
}

TEST_CASE("silent peers of many addresses do not keep others out") {
  Service service({.connections = 8, .per_peer = 4});
  std::vector<std::unique_ptr<Peer>> silent;
  for (int i = 1; i <= 100; ++i)
    silent.push_back(std::make_unique<Peer>(service.port, fmt::format("127.0.1.{}", i)));
  CHECK(eventually([&] { return service.connections() == 8; }));
  for (int i = 0; i < 20; ++i) CHECK(Peer(service.port).ask().starts_with("HTTP/1.1 200"));
}

TEST_CASE("who has the most connections gives way, not who has one that waits for its answer") {
  Service service({.connections = 8, .per_peer = 8});
  std::vector<Reply> waiting;  // in the loop's thread
  service.in_loop([&] {
    service.handler = [&](Request request, Reply reply) -> Work {
      if (request.path == "/slow")
        waiting.push_back(std::move(reply));
      else
        reply(text_response(200, "ok"));
      return nullptr;
    };
    return 0;
  });
  const Peer slow(service.port);
  slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(eventually([&] { return service.in_loop([&] { return waiting.size(); }) == 1; }));
  std::vector<std::unique_ptr<Peer>> greedy;
  for (int i = 0; i < 50; ++i) {
    greedy.push_back(std::make_unique<Peer>(service.port, "127.0.0.9"));
    greedy.back()->send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  CHECK(eventually([&] { return service.connections() == 8; }));
  CHECK(eventually([&] { return greedy[0]->ended(); }));
  service.in_loop([&] {
    waiting.front()(text_response(200, "late"));
    return 0;
  });
  CHECK(slow.read_all().ends_with("late\n"));
  service.in_loop([&] {
    for (const Reply& reply : waiting)
      reply(text_response(200, "ok"));  // of the dropped ones too: nothing happens
    return 0;
  });
}

TEST_CASE("a byte now and then ends with the deadline of the request") {
  DoorBounds bounds;
  bounds.connection.request_time = 300ms;
  Service service(bounds);
  const Peer drip(service.port);
  const auto began = monotonic_now();
  std::atomic<bool> over{false};
  std::thread dripping([&] {
    drip.send("GET / HTTP/1.1\r\nX: ");
    while (!over && drip.send("a")) std::this_thread::sleep_for(20ms);
  });
  CHECK(drip.read_all().starts_with("HTTP/1.1 408 "));
  CHECK(monotonic_now() - began >= 300ms);
  over = true;
  dripping.join();
  CHECK(eventually([&] { return service.connections() == 0; }));
}

TEST_CASE("answers that nobody reads keep a bounded number of bytes") {
  constexpr size_t kPage = 4 << 20;
  Service service({.connections = 64, .per_peer = 64}, 3 * kPage);
  service.in_loop([&] {
    service.handler = [](Request, Reply reply) -> Work {
      reply({.body = {part(std::string(kPage, 'x'))}});
      return nullptr;
    };
    return 0;
  });
  std::vector<std::unique_ptr<Peer>> deaf;
  for (int i = 0; i < 20; ++i) {
    deaf.push_back(std::make_unique<Peer>(service.port));
    deaf.back()->send(kGet);
  }
  CHECK(eventually([&] { return service.connections() == 3; }));
  CHECK(service.in_loop([&] { return service.server.answer_bytes(); }) <= 3 * kPage);
  CHECK(Peer(service.port).ask().size() > kPage);  // who reads gets it all
}

TEST_CASE("a part that many wait for counts once") {
  Service service({.connections = 64, .per_peer = 64}, 5 << 20);
  service.in_loop([&] {
    service.handler = [page = part(std::string(4 << 20, 'x'))](Request, Reply reply) -> Work {
      reply({.body = {page}});
      return nullptr;
    };
    return 0;
  });
  std::vector<std::unique_ptr<Peer>> readers;
  for (int i = 0; i < 10; ++i) {
    readers.push_back(std::make_unique<Peer>(service.port));
    readers.back()->send(kGet);
  }
  CHECK(eventually([&] { return service.connections() == 10; }));
  CHECK(service.in_loop([&] { return service.server.answer_bytes(); }) == 4 << 20);
  CHECK(readers.front()->read_all().size() > 4 << 20);
}

TEST_CASE("an answer that is not read ends with its deadline") {
  DoorBounds bounds;
  bounds.connection.answer_time = 200ms;
  Service service(bounds, 64 << 20);
  service.in_loop([&] {
    service.handler = [](Request, Reply reply) -> Work {
      reply({.body = {part(std::string(8 << 20, 'x'))}});
      return nullptr;
    };
    return 0;
  });
  const Peer deaf(service.port);
  deaf.send(kGet);
  CHECK(eventually([&] { return service.connections() == 1; }));
  CHECK(eventually([&] { return service.connections() == 0; }));
}

TEST_CASE("work for a client that left is given up") {
  std::atomic<int> begun{0}, given_up{0};
  Service service;
  service.in_loop([&] {
    service.handler = [&](Request, Reply) -> Work {
      ++begun;
      return {new int, [&](int* one) {
                delete one;
                ++given_up;
              }};
    };
    return 0;
  });
  {
    const Peer early(service.port);
    early.send(kGet);
    REQUIRE(eventually([&] { return begun == 1; }));
    CHECK(given_up == 0);
  }
  // FIN alone is no reason; the place is taken by others before that.
  std::vector<std::unique_ptr<Peer>> others;
  for (int i = 0; i < 40; ++i) {
    others.push_back(std::make_unique<Peer>(service.port));
    others.back()->send(kGet);
  }
  CHECK(eventually([&] { return given_up > 0; }));
}

TEST_CASE("thousands of connections that come and go leave nothing") {
  Service service;
  for (int i = 0; i < 2000; ++i) {
    const Peer peer(service.port);
    if (i % 3 == 0) peer.send("GET /");
    if (i % 3 == 1) CHECK(peer.ask().starts_with("HTTP/1.1 200"));
  }
  CHECK(eventually([&] { return service.connections() == 0; }));
}

TEST_CASE("a server that is destroyed lets go of silent clients at once") {
  auto loop = event::Loop::create(event::Backend::kEpoll).value();
  auto server = std::make_unique<Server>(*loop, 1 << 20);
  Fd listening = listen_tcp("127.0.0.1", 0).value();
  const uint16_t port = SocketAddress::local_of(listening.get()).value().port;
  server->open(std::move(listening), {}, [](Request, Reply) -> Work { return nullptr; });
  std::thread thread([&] { loop->run(); });
  const Peer silent(port), waiting(port);
  waiting.send(kGet);
  loop->stop();
  thread.join();
  server.reset();
  CHECK(silent.read_all().empty());
  CHECK(waiting.read_all().empty());
}

TEST_CASE("a port is never shared, and an address that cannot be had is named") {
  const Fd first = listen_tcp("127.0.0.1", 0).value();
  const uint16_t port = SocketAddress::local_of(first.get()).value().port;
  const auto second = listen_tcp("127.0.0.1", port);
  REQUIRE_FALSE(second);
  CHECK(second.error().message.find(fmt::format("127.0.0.1:{}", port)) != std::string::npos);
  CHECK(listen_tcp("192.0.2.1", 80).error().message.find("192.0.2.1:80") != std::string::npos);
}

}  // namespace sockmesh::http
