#include "admin/admin_server.h"

#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <future>
#include <thread>

#include "application.h"
#include "base/address.h"
#include "base/fd.h"
#include "test_support/eventually.h"

namespace sockmesh::admin {

namespace {

class RunDir {
 public:
  RunDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sockmesh-admin-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()));
    path_ = pattern;
  }
  ~RunDir() { std::filesystem::remove_all(path_); }
  std::string socket() const { return path_ + "/admin.sock"; }

 private:
  std::string path_;
};

// Port 0 everywhere, on loopback.
AdminOptions options(const RunDir& dir) {
  AdminOptions options;
  options.socket_path = dir.socket();
  options.admin_port = options.status_port = options.readiness_port = options.metrics_port = 0;
  options.any_address = "127.0.0.1";
  return options;
}

Sources sources() {
  Sources sources;
  sources.readiness = [] { return Readiness{true, ""}; };
  sources.metrics = [] { return std::string("istio_build 1\n"); };
  sources.flows = [] { return FlowListing{}; };
  return sources;
}

httplib::Client over_socket(const RunDir& dir) {
  httplib::Client client(dir.socket());
  client.set_address_family(AF_UNIX);
  return client;
}

int status_of(uint16_t port, const std::string& path) {
  const auto reply = httplib::Client("127.0.0.1", port).Get(path);
  return reply ? reply->status : -1;
}

// A connection to `port` of loopback that has said these bytes, `from` there.
Fd say(uint16_t port, const std::string& bytes, uint32_t from = INADDR_LOOPBACK) {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage own{}, to{};
  socklen_t length = SocketAddress{IpAddress::v4(from), 0}.to_sockaddr(own);
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&own), length) == 0);
  length = SocketAddress{IpAddress::loopback(false), port}.to_sockaddr(to);
  REQUIRE(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), length) == 0);
  REQUIRE(::send(socket.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  return socket;
}

// What the server answers to them, all of it.
std::string raw_reply(uint16_t port, const std::string& bytes) {
  const Fd socket = say(port, bytes);
  std::string reply;
  char part[4096];
  for (ssize_t n; (n = ::recv(socket.get(), part, sizeof part, 0)) > 0;)
    reply.append(part, static_cast<size_t>(n));
  return reply;
}

}  // namespace

TEST_CASE("the server answers on its socket and on every port") {
  const RunDir dir;
  AdminOptions everywhere = options(dir);
  everywhere.any_address = "";
  auto server = AdminServer::start(everywhere, sources());
  REQUIRE(server);
  CHECK((*server)->warnings().empty());
  CHECK(status_of((*server)->port(15021), "/healthz/ready") == 200);
  CHECK(status_of((*server)->port(15090), "/stats/prometheus") == 200);
  CHECK(status_of((*server)->port(15020), "/stats/prometheus") == 200);
  CHECK(status_of((*server)->port(15000), "/ready") == 200);
  // Who reaches the pod by another address than 127.0.0.1 finds the status port, and not Envoy's.
  CHECK(httplib::Client("127.0.0.2", (*server)->port(15020)).Get("/healthz/ready"));
  CHECK_FALSE(httplib::Client("127.0.0.2", (*server)->port(15000)).Get("/ready"));
  auto client = over_socket(dir);
  const auto flows = client.Get("/v1/flows");
  REQUIRE(flows);
  CHECK(flows->status == 200);

  struct stat status {};
  REQUIRE(::stat(dir.socket().c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0660);
  server->reset();
  CHECK_FALSE(std::filesystem::exists(dir.socket()));
}

TEST_CASE("a socket that nobody listens on is replaced, a living one is not") {
  const RunDir dir;
  {
    const Fd stale(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    dir.socket().copy(name.sun_path, sizeof name.sun_path - 1);
    REQUIRE(::bind(stale.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
  }
  auto first = AdminServer::start(options(dir), sources());
  REQUIRE(first);
  const auto second = AdminServer::start(options(dir), sources());
  REQUIRE_FALSE(second);
  CHECK(second.error().message.find("another agent answers there") != std::string::npos);
  CHECK(over_socket(dir).Get("/v1/flows"));
}

TEST_CASE("a path that is too long or taken by something else is an error that says so") {
  const RunDir dir;
  AdminOptions long_path = options(dir);
  long_path.socket_path = "/tmp/" + std::string(120, 'x');
  CHECK(AdminServer::start(long_path, sources()).error().message.find("at most 107 fit") !=
        std::string::npos);
  AdminOptions folder = options(dir);
  folder.socket_path = std::filesystem::temp_directory_path().string();
  CHECK(AdminServer::start(folder, sources()).error().message.find("not a socket") != std::string::npos);
}

TEST_CASE("a port in use is a warning, the readiness port an error") {
  const RunDir dir;
  httplib::Server other;
  const int taken = other.bind_to_any_port("127.0.0.1");
  std::thread serving([&] { other.listen_after_bind(); });
  while (!other.is_running()) std::this_thread::yield();

  AdminOptions metrics = options(dir);
  metrics.metrics_port = static_cast<uint16_t>(taken);
  auto server = AdminServer::start(metrics, sources());
  REQUIRE(server);
  REQUIRE((*server)->warnings().size() == 1);
  CHECK((*server)->warnings()[0].find("127.0.0.1:" + std::to_string(taken)) != std::string::npos);
  CHECK((*server)->port(15090) == 0);
  server->reset();

  AdminOptions readiness = options(dir);
  readiness.readiness_port = static_cast<uint16_t>(taken);
  CHECK_FALSE(AdminServer::start(readiness, sources()));
  other.stop();
  serving.join();
}

TEST_CASE("a scrape that takes its time leaves readiness answering") {
  const RunDir dir;
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  std::atomic<int> scraping{0};
  Sources slow = sources();
  slow.metrics = [&, released] {
    ++scraping;
    released.wait();
    return std::string();
  };
  auto server = AdminServer::start(options(dir), std::move(slow));
  REQUIRE(server);
  const uint16_t metrics = (*server)->port(15090);
  std::vector<std::thread> scrapers;
  for (int i = 0; i < 2; ++i) scrapers.emplace_back([&] { status_of(metrics, "/metrics"); });
  while (scraping < 1) std::this_thread::yield();  // the other waits with it
  CHECK(status_of((*server)->port(15021), "/healthz/ready") == 200);
  release.set_value();
  for (std::thread& scraper : scrapers) scraper.join();
}

// A source that takes until release(); whoever asks it meanwhile waits.
class Slow {
 public:
  std::string operator()() {
    ++asked_;
    released_.wait();
    return "slow 1\n";
  }
  void wait_until_asked() const {
    while (asked_ == 0) std::this_thread::yield();
  }
  void release() { release_.set_value(); }

 private:
  std::promise<void> release_;
  const std::shared_future<void> released_ = release_.get_future().share();
  std::atomic<int> asked_{0};
};

TEST_CASE("silent and dripping clients of every port delay nobody, and stopping does not wait for them") {
  const RunDir dir;
  auto server = AdminServer::start(options(dir), sources());
  REQUIRE(server);
  std::vector<Fd> silent;
  for (const uint16_t standard : {15021, 15020, 15090, 15000})
    for (int i = 0; i < 100; ++i)
      silent.push_back(say((*server)->port(standard), i % 2 ? "GET /healthz/ready HTTP/1.1\r\nX: " : ""));
  const auto began = monotonic_now();
  CHECK(status_of((*server)->port(15021), "/healthz/ready") == 200);
  CHECK(status_of((*server)->port(15020), "/healthz/ready") == 200);
  CHECK(status_of((*server)->port(15090), "/metrics") == 200);
  CHECK(status_of((*server)->port(15000), "/ready") == 200);
  CHECK(over_socket(dir).Get("/v1/flows"));
  (*server)->stop();
  CHECK(monotonic_now() - began < test::patient(std::chrono::seconds(3)));  // a request may take 5 s
}

TEST_CASE("a port that strangers reach keeps 64 connections, 32 of one address") {
  const RunDir dir;
  auto server = AdminServer::start(options(dir), sources());
  REQUIRE(server);
  for (const uint16_t standard : {15020, 15021, 15090}) {
    const uint16_t port = (*server)->port(standard);
    const auto kept = [](const std::vector<Fd>& clients) {
      return std::count_if(clients.begin(), clients.end(), [](const Fd& client) {
        char byte;
        return ::recv(client.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
      });
    };
    std::vector<Fd> clients;
    for (int i = 0; i < 80; ++i) clients.push_back(say(port, "", 0x7f000101));
    CHECK(test::eventually([&] { return kept(clients) == 32; }));
    for (uint32_t i = 0; i < 80; ++i) clients.push_back(say(port, "", 0x7f000201 + i));
    CHECK(test::eventually([&] { return kept(clients) == 64; }));
  }
}

TEST_CASE("a scrape of strangers that takes its time leaves the operator's doors answering") {
  const RunDir dir;
  Slow slow;
  Sources agent = sources();
  agent.metrics = [&] { return slow(); };
  int quits = 0;
  agent.quit = [&] { ++quits; };
  auto server = AdminServer::start(options(dir), std::move(agent));
  REQUIRE(server);
  std::vector<Fd> scrapers;
  for (int i = 0; i < 20; ++i)
    scrapers.push_back(say((*server)->port(i % 2 ? 15020 : 15090),
                           fmt::format("GET /metrics?{} HTTP/1.1\r\nHost: a\r\n\r\n", i)));
  slow.wait_until_asked();
  const auto flows = over_socket(dir).Get("/v1/flows");
  REQUIRE(flows);
  CHECK(flows->status == 200);
  CHECK(httplib::Client("127.0.0.1", (*server)->port(15020)).Post("/quitquitquit"));
  CHECK(quits == 1);
  slow.release();
}

TEST_CASE("what strangers may have waiting is bounded: beyond it they are told") {
  const RunDir dir;
  Slow slow;
  Sources agent = sources();
  agent.metrics = [&] { return slow(); };
  auto server = AdminServer::start(options(dir), std::move(agent));
  REQUIRE(server);
  const uint16_t port = (*server)->port(15090);
  const Fd first = say(port, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  slow.wait_until_asked();
  std::vector<Fd> different;
  for (int i = 0; i < 16; ++i)
    different.push_back(say(port, fmt::format("GET /metrics?{} HTTP/1.1\r\nHost: a\r\n\r\n", i)));
  REQUIRE(test::eventually([&] { return status_of(port, "/metrics?beyond") == 503; }));
  slow.release();
  CHECK(test::eventually([&] { return status_of(port, "/metrics") == 200; }));
}

TEST_CASE("requests without end are refused at their bound, ranges mean nothing") {
  const RunDir dir;
  auto server = AdminServer::start(options(dir), sources());
  REQUIRE(server);
  for (const uint16_t standard : {15020, 15021, 15090}) {
    const uint16_t port = (*server)->port(standard);
    CHECK(raw_reply(port, "GET /healthz/ready HTTP/1.1\r\n" + std::string(20'000, 'a'))
              .starts_with("HTTP/1.1 431 "));
    CHECK(raw_reply(port, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" +
                              std::string(0x20000, 'b'))
              .starts_with("HTTP/1.1 413 "));
  }
  std::string ranges = "bytes=0-";
  for (int i = 0; i < 2000; ++i) ranges += ",0-";
  const std::string reply =
      raw_reply((*server)->port(15090), "GET /metrics HTTP/1.1\r\nHost: a\r\nRange: " + ranges + "\r\n\r\n");
  CHECK(reply.starts_with("HTTP/1.1 200 "));
  CHECK(reply.ends_with("\r\n\r\nistio_build 1\n"));
}

TEST_CASE("an application that drips delays its own metrics alone, and ours are still there") {
  const RunDir dir;
  const Application application("HTTP/1.1 200 OK\r\nX: ", "a");
  AdminOptions chosen = options(dir);
  chosen.app_annotations = fmt::format(R"({{"scrape":"true","port":"{}"}})", application.port());
  auto server = AdminServer::start(chosen, sources());
  REQUIRE(server);
  CHECK((*server)->warnings().empty());
  std::vector<Fd> scrapers;
  for (int i = 0; i < 30; ++i)
    scrapers.push_back(say((*server)->port(15020), "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"));
  CHECK(status_of((*server)->port(15090), "/metrics") == 200);
  CHECK(status_of((*server)->port(15021), "/healthz/ready") == 200);
  const auto merged = httplib::Client("127.0.0.1", (*server)->port(15020))
                          .Get("/stats/prometheus", {{"X-Prometheus-Scrape-Timeout-Seconds", "0.3"}});
  REQUIRE(merged);
  CHECK(merged->status == 200);
  CHECK(merged->body.starts_with("istio_build 1\n"));
  CHECK(merged->body.find("istio_agent_scrape_failures_total{type=\"application\"} ") != std::string::npos);
}

TEST_CASE("15020 merges the application's page behind ours, and answers its probes") {
  const RunDir dir;
  const Application application(http_answer("app_total 1"));
  AdminOptions chosen = options(dir);
  chosen.app_annotations = fmt::format(R"({{"scrape":"true","port":"{}"}})", application.port());
  chosen.app_probers =
      fmt::format(R"({{"/app-health/web/livez": {{"httpGet": {{"port": {}}}}}}})", application.port());
  auto server = AdminServer::start(chosen, sources());
  REQUIRE(server);
  const uint16_t port = (*server)->port(15020);
  const auto merged = httplib::Client("127.0.0.1", port).Get("/metrics");
  REQUIRE(merged);
  CHECK(merged->body.starts_with("istio_build 1\n# HELP istio_agent_scrape_failures_total"));
  CHECK(merged->body.ends_with("} 0\napp_total 1\n"));
  CHECK(status_of(port, "/app-health/web/livez") == 200);
  CHECK(status_of(port, "/app-health/web/readyz") == 400);
  CHECK(status_of((*server)->port(15021), "/app-health/web/livez") == 404);
}

TEST_CASE("probes that cannot be read are a warning") {
  const RunDir dir;
  AdminOptions chosen = options(dir);
  chosen.app_probers = "{nonsense";
  auto server = AdminServer::start(chosen, sources());
  REQUIRE(server);
  REQUIRE((*server)->warnings().size() == 1);
  CHECK((*server)->warnings()[0].starts_with("ISTIO_KUBE_APP_PROBERS '{nonsense'"));
  CHECK(status_of((*server)->port(15020), "/app-health/web/livez") == 500);
  CHECK(status_of((*server)->port(15021), "/healthz/ready") == 200);
}

TEST_CASE("a POST that announces no body is answered at once, as a preStop hook's curl sends it") {
  const RunDir dir;
  int quits = 0;
  Sources agent = sources();
  agent.quit = [&] { ++quits; };
  auto server = AdminServer::start(options(dir), std::move(agent));
  REQUIRE(server);
  const std::string reply =
      raw_reply((*server)->port(15020), "POST /quitquitquit HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(reply.starts_with("HTTP/1.1 200 "));
  CHECK(quits == 1);
}

TEST_CASE("localhost is 127.0.0.1, not the address that inbound passthrough dials from") {
  const RunDir dir;
  int quits = 0;
  Sources agent = sources();
  agent.quit = [&] { ++quits; };
  auto server = AdminServer::start(options(dir), std::move(agent));
  REQUIRE(server);
  httplib::Client neighbour("127.0.0.1", (*server)->port(15020));
  neighbour.set_interface("127.0.0.6");
  const auto refused = neighbour.Post("/quitquitquit");
  REQUIRE(refused);
  CHECK(refused->status == 403);
  CHECK(quits == 0);
  const auto accepted = httplib::Client("127.0.0.1", (*server)->port(15020)).Post("/quitquitquit");
  REQUIRE(accepted);
  CHECK(accepted->status == 200);
  CHECK(quits == 1);
}

}  // namespace sockmesh::admin
