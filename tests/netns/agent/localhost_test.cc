// An application that the mesh cannot reach where it listens.
#include <catch2/catch.hpp>

#include "mesh.h"
#include "net/listening_socket.h"

namespace sockmesh::test {
namespace {

Fd listen_at(Pod& pod, const std::string& address) {
  Fd fd;
  pod.netns.run([&] {
    auto made = net::listen_on(SocketAddress::parse(address).value(), {});
    REQUIRE(made);
    fd = std::move(*made);
  });
  return fd;
}

TEST_CASE("an application that listens on localhost alone is told by status, until it listens for all") {
  Mesh mesh;
  mesh.apply("web.yaml",
             "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.96.0.7, selector: "
             "{app: web}, "
             "ports: [{name: tcp, port: 80, targetPort: 9000}]}\n---\napiVersion: v1\nkind: Pod\nmetadata: "
             "{name: web-1, "
             "labels: {app: web}}\nspec: {containers: [{name: web}]}\nstatus: {podIP: 10.12.0.11}\n");
  Pod& pod = mesh.pod("web", "10.12.0.11");
  Agent& agent = mesh.sidecar(pod, "web-1");
  CHECK(agent.ctl("status")["findings"].empty());
  Fd listener = listen_at(pod, "127.0.0.1:9000");
  const Fd unexposed = listen_at(pod, "127.0.0.1:9999");
  const nlohmann::json findings = agent.ctl("status")["findings"];
  REQUIRE(findings.size() == 1);
  CHECK(findings[0]["code"] == "IST0143");
  CHECK(findings[0]["object"]["name"] == "web-1");
  CHECK(findings[0]["text"] ==
        "Port 9000 is exposed in a Service but listens on localhost. It will not be exposed to other pods.");
  listener.reset();
  listener = listen_at(pod, "0.0.0.0:9000");
  CHECK(agent.ctl("status")["findings"].empty());
}

}  // namespace
}  // namespace sockmesh::test
