// The application's own probes, as Istio's injector rewrites them: the kubelet asks 15020, the agent asks the
// application, past the rules. A probe that were captured would always connect.
//
//   node (kubelet) ── GET 15020 /app-health/web/readyz ──▶ agent ── from 127.0.0.6, ::6 ──▶ web, same pod
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "mesh.h"
#include "test_support/http.h"

namespace sockmesh::test {
namespace {

// An application in a pod that answers HTTP with who asked.
class Web {
 public:
  Web(Pod& pod, const SocketAddress& at) {
    pod.netns.run([&] {
      listening_ = Fd(::socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      sockaddr_storage storage{};
      const socklen_t length = at.to_sockaddr(storage);
      REQUIRE(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0);
      REQUIRE(::listen(listening_.get(), 16) == 0);
    });
    thread_ = std::thread([this] {
      while (!over_) serve();
    });
  }
  ~Web() {
    over_ = true;
    thread_.join();
  }

 private:
  void serve() {
    pollfd one{listening_.get(), POLLIN, 0};
    if (::poll(&one, 1, 20) != 1) return;
    const Fd fd(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const auto peer = fd ? SocketAddress::peer_of(fd.get()) : fail("nobody");
    if (!peer) return;
    char request[4096];
    if (::recv(fd.get(), request, sizeof request, 0) <= 0) return;
    const std::string who = peer->ip.to_string();
    const std::string answer =
        fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", who.size(), who);
    (void)!::send(fd.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
  }

  Fd listening_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

void check_probes(bool ipv6) {
  Mesh mesh;
  Pod& pod = mesh.pod("web", "10.12.0.11");
  const Web web(pod, pod.at(8080, ipv6));
  AgentOptions options;
  options.env = {
      {"INSTANCE_IP", (ipv6 ? pod.v6 : pod.v4).to_string()},
      {"ISTIO_KUBE_APP_PROBERS",
       R"({"/app-health/web/readyz": {"httpGet": {"path": "/", "port": 8080}, "timeoutSeconds": 30},
                      "/app-health/web/livez": {"tcpSocket": {"port": 8080}, "timeoutSeconds": 30},
                      "/app-health/web/startupz": {"tcpSocket": {"port": 8081}, "timeoutSeconds": 30}})"}};
  mesh.sidecar(pod, "web-0", options);
  const auto ask = [&](const std::string& path) {
    const auto response = http_get(mesh.node(), pod.at(15020, ipv6), path);
    return response ? fmt::format("{} {}", response->status, response->body) : response.error().message;
  };
  CHECK(ask("/app-health/web/readyz") == (ipv6 ? "200 ::6" : "200 127.0.0.6"));
  CHECK(ask("/app-health/web/livez") == "200 ");
  CHECK_THAT(ask("/app-health/web/startupz"), Catch::StartsWith("500 ") && Catch::Contains("refused"));
  CHECK_THAT(ask("/app-health/other/livez"), Catch::StartsWith("400 "));
}

TEST_CASE("rewritten probes ask the application, not the sidecar") { check_probes(false); }
TEST_CASE("rewritten probes ask the application over IPv6, not the sidecar") { check_probes(true); }

}  // namespace
}  // namespace sockmesh::test
