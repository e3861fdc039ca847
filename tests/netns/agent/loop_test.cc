// What goes in circles: rules that send the agent's own traffic back to it.
#include <sys/socket.h>
#include <sys/time.h>

#include <catch2/catch.hpp>

#include "mesh.h"
#include "test_support/eventually.h"

namespace sockmesh::test {
namespace {

SocketAddress address(const std::string& text) { return SocketAddress::parse(text).value(); }

TEST_CASE(
    "rules that do not exempt the agent's user: a connection ends after a few rounds, and the agent says "
    "why") {
  Mesh mesh;
  Pod& pod = mesh.pod("web", "10.12.0.11");
  Pod& other = mesh.pod("db", "10.12.0.12");
  Agent& agent = mesh.sidecar(pod, "web-1", {.exempt = "4242"});
  mesh.echo(other, 9000, "db");
  // An address of nobody's service: passthrough, again and again.
  CHECK(mesh.ask(pod, address("10.12.0.12:9000"), "hi") == "");
  EVENTUALLY(agent.open_flows() == 0);
  const std::vector<AccessLine> log = agent.log();
  // A few more than four where the ends of a connection are entered late; without end it would be thousands.
  CHECK(log.size() <= 32);
  CHECK(std::any_of(log.begin(), log.end(), [](const AccessLine& line) {
    return line.cluster == "BlackHoleCluster" && line.flags == "UH" &&
           line.text.find(" proxy_loop ") != std::string::npos;
  }));
  CHECK_THAT(agent.errors(), Catch::Contains("what this agent sends to 10.12.0.12:9000 comes back to it"));
}

TEST_CASE("who dials a capture port itself is closed at once, and leaves no line") {
  Mesh mesh;
  Pod& pod = mesh.pod("web", "10.12.0.11");
  Pod& other = mesh.pod("db", "10.12.0.12");
  Agent& agent = mesh.sidecar(pod, "web-1");
  mesh.echo(other, 9000, "db");
  const auto dial = [](Pod& from, const SocketAddress& to) {
    CAPTURE(to.to_string());
    ssize_t got = -1;
    from.netns.run([&] {
      const Fd fd(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
      const timeval patience{patient(std::chrono::seconds(10)).count() / 1000, 0};
      setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      sockaddr_storage storage{};
      const socklen_t length = to.to_sockaddr(storage);
      if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) return;
      char byte = 0;
      got = recv(fd.get(), &byte, 1, 0);
    });
    CHECK(got == 0);
  };
  for (const uint16_t port : {15001, 15006})
    for (const bool ipv6 : {false, true}) {
      dial(pod, {IpAddress::loopback(ipv6), port});
      dial(pod, pod.at(port, ipv6));
    }
  for (const bool ipv6 : {false, true}) dial(other, pod.at(15006, ipv6));
  EVENTUALLY(agent.open_flows() == 0);
  CHECK(mesh.ask(pod, address("10.12.0.12:9000"), "hi") == "db hi");
  EVENTUALLY(agent.log().size() == 1);
}

TEST_CASE("a pod that calls itself through a service passes its agent twice, and no more is needed") {
  Mesh mesh;
  mesh.apply("web.yaml",
             "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.96.0.7, selector: "
             "{app: web}, ports: "
             "[{name: tcp, port: 80, targetPort: 9000}]}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: "
             "web-1, labels: {app: "
             "web}}\nspec: {containers: [{name: web}]}\nstatus: {podIP: 10.12.0.11}\n");
  Pod& pod = mesh.pod("web", "10.12.0.11");
  Agent& agent = mesh.sidecar(pod, "web-1");
  mesh.echo(pod, 9000, "web");
  CHECK(mesh.ask(pod, address("10.96.0.7:80"), "hi") == "web hi");
  EVENTUALLY(agent.log().size() == 2);
  CHECK(agent.errors().find("comes back") == std::string::npos);
}

}  // namespace
}  // namespace sockmesh::test
