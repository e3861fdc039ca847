// The client against a server of cpp-httplib, and against raw sockets that behave badly.
#include "http/client.h"

#include <httplib.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <thread>

#include "http/listening.h"

namespace sockmesh::http {

namespace {

using namespace std::chrono_literals;

struct Application {
  Application() {
    server.Get("/", [](const auto& request, auto& response) {
      response.set_content(request.get_header_value("X-Probe") + "|" + request.get_header_value("Host") +
                               "|" + request.get_header_value("Connection") + "|" + request.remote_addr,
                           "text/special");
    });
    server.Get("/large", [](const auto&, auto& response) {
      response.set_content(std::string(100'000, 'x'), "text/plain");
    });
    server.Get("/moved", [](const auto&, auto& response) { response.set_redirect("/"); });
    server.Get("/away", [](const auto&, auto& response) { response.set_redirect("http://other.example/x"); });
    port = static_cast<uint16_t>(server.bind_to_any_port("127.0.0.1"));
    thread = std::thread([this] { server.listen_after_bind(); });
    while (!server.is_running()) std::this_thread::yield();
  }
  ~Application() {
    server.stop();
    thread.join();
  }
  std::string url(const std::string& path) const { return fmt::format("http://127.0.0.1:{}{}", port, path); }
  httplib::Server server;
  uint16_t port = 0;
  std::thread thread;
};

// Accepts once, sends `first`, then `again` every few milliseconds until the other side has left.
struct Dripper {
  Dripper(std::string first, std::string again) : listening(listen_tcp("127.0.0.1", 0).value()) {
    port = SocketAddress::local_of(listening.get()).value().port;
    thread = std::thread([this, first, again] {
      Fd fd;
      while (!fd && !over) {
        fd = Fd(::accept(listening.get(), nullptr, nullptr));
        if (!fd) std::this_thread::sleep_for(1ms);
      }
      std::string_view next = first;
      while (!over && ::send(fd.get(), next.data(), next.size(), MSG_NOSIGNAL) >= 0) {
        next = again;
        std::this_thread::sleep_for(5ms);
      }
    });
  }
  ~Dripper() {
    over = true;
    thread.join();
  }
  std::string url() const { return fmt::format("http://127.0.0.1:{}/", port); }
  Fd listening;
  uint16_t port = 0;
  std::atomic<bool> over{false};
  std::thread thread;
};

Outcome ask(Call call) {
  const auto loop = event::Loop::create(event::Backend::kEpoll).value();
  Client client(*loop);
  Outcome result;
  auto handle = client.start(std::move(call), [&](Outcome outcome) {
    result = std::move(outcome);
    loop->stop();
  });
  loop->run();
  return result;
}

}  // namespace

TEST_CASE("a call and its answer") {
  const Application application;
  const Outcome outcome =
      ask({.url = application.url("/"), .headers = {{"X-Probe", "a"}, {"Host", "name:1"}}, .deadline = 20s});
  CHECK(outcome.error == "");
  CHECK(outcome.status == 200);
  CHECK(outcome.type == "text/special");
  CHECK(outcome.body == "a|name:1|close|127.0.0.1");
  const IpAddress source = IpAddress::parse("127.0.0.6").value();
  CHECK(ask({.url = application.url("/"), .source = source, .deadline = 20s}).body.ends_with("|127.0.0.6"));
  CHECK(ask({.url = fmt::format("http://localhost:{}/", application.port), .deadline = 20s}).status == 200);
}

TEST_CASE("a redirect is told, not followed") {
  const Application application;
  const Outcome near = ask({.url = application.url("/moved"), .deadline = 20s});
  CHECK(near.status == 302);
  CHECK(near.redirect == application.url("/"));
  CHECK(near.redirect_host == "127.0.0.1");
  CHECK(near.same_host_named);
  const Outcome far = ask({.url = application.url("/away"), .deadline = 20s});
  CHECK(far.redirect_host == "other.example");
  CHECK_FALSE(far.same_host_named);
}

TEST_CASE("a body over the bound is a failure, or is cut") {
  const Application application;
  const Outcome whole = ask({.url = application.url("/large"), .deadline = 20s, .max_body = 99'999});
  CHECK(whole.error == "its body is larger than 99999 bytes");
  const Outcome cut =
      ask({.url = application.url("/large"), .deadline = 20s, .max_body = 10, .cut_body = true});
  CHECK(cut.error == "");
  CHECK(cut.status == 200);
  CHECK(cut.body == "xxxxxxxxxx");
}

TEST_CASE("an answer that drips ends with the deadline, headers without end with their bound") {
  const Dripper silent("", "");
  CHECK(ask({.url = silent.url(), .deadline = 100ms}).error != "");
  const Dripper in_header("HTTP/1.1 200 OK\r\nX: ", "a");
  const auto began = monotonic_now();
  const Outcome dripped = ask({.url = in_header.url(), .deadline = 200ms});
  CHECK(dripped.error != "");
  CHECK(dripped.status == 0);
  CHECK(monotonic_now() - began >= 200ms);
  const Dripper in_body("HTTP/1.1 200 OK\r\n\r\n", "a");
  const Outcome endless = ask({.url = in_body.url(), .deadline = 200ms});
  CHECK(endless.error != "");
  CHECK(endless.status == 200);
  const Dripper headers("HTTP/1.1 200 OK\r\n", "A: " + std::string(10'000, 'b') + "\r\n");
  CHECK(ask({.url = headers.url(), .deadline = 60s}).error == "its headers are larger than 65536 bytes");
}

TEST_CASE("nobody there") {
  uint16_t port = 0;
  {
    const Fd listening = listen_tcp("127.0.0.1", 0).value();
    port = SocketAddress::local_of(listening.get()).value().port;
  }
  const Outcome outcome = ask({.url = fmt::format("http://127.0.0.1:{}/", port), .deadline = 20s});
  CHECK(outcome.status == 0);
  CHECK(outcome.error != "");
}

TEST_CASE("a call that is given up never ends") {
  const Dripper silent("", "");
  const auto loop = event::Loop::create(event::Backend::kEpoll).value();
  Client client(*loop);
  bool done = false;
  auto handle = client.start({.url = silent.url(), .deadline = 10ms}, [&](Outcome) { done = true; });
  const auto timer = loop->timer([&] { loop->stop(); });
  timer->set(50ms);
  handle.reset();
  loop->run();
  CHECK_FALSE(done);
}

}  // namespace sockmesh::http
