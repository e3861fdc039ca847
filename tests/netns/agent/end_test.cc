// How an agent ends while connections are in every state that one can be in: with status 0 and a line for
// each.
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <map>

#include "mesh.h"
#include "test_support/eventually.h"

namespace sockmesh::test {
namespace {

Fd dial(Pod& from, const SocketAddress& to) {
  Fd fd;
  from.netns.run([&] {
    fd = Fd(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage storage{};
    const socklen_t length = to.to_sockaddr(storage);
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) fd.reset();
  });
  REQUIRE(fd);
  return fd;
}

SocketAddress address(const std::string& text) { return SocketAddress::parse(text).value(); }

std::map<std::string, int> states(const Agent& agent) {
  std::map<std::string, int> counts;
  const auto listed = agent.ctl("flows");
  for (const auto& flow : listed["flows"]) ++counts[flow["state"].get<std::string>()];
  return counts;
}

const char* const kManifests = R"(
apiVersion: v1
kind: Service
metadata: {name: store}
spec: {clusterIP: 10.0.50.1, clusterIPs: [10.0.50.1, "fd00:50::1"], selector: {app: store}, ports: [{name: tcp, port: 7000}]}
---
apiVersion: v1
kind: Service
metadata: {name: named}
spec: {clusterIP: 10.0.50.2, clusterIPs: [10.0.50.2, "fd00:50::2"], selector: {app: store}, ports: [{name: tls, port: 7443}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: named}
spec:
  hosts: [named.default.svc.cluster.local]
  tls:
  - match: [{port: 7443, sniHosts: [named.default.svc.cluster.local]}]
    route: [{destination: {host: named.default.svc.cluster.local}}]
---
apiVersion: v1
kind: Pod
metadata: {name: store, labels: {app: store}}
status: {podIP: 10.12.0.12, podIPs: [{ip: 10.12.0.12}, {ip: "fd12::c"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: gateway, labels: {istio: gateway}}
status: {podIP: 10.12.0.13, podIPs: [{ip: 10.12.0.13}, {ip: "fd12::d"}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway}
spec: {selector: {istio: gateway}, servers: [{port: {number: 31400, name: tcp, protocol: TCP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: through}
spec:
  hosts: ["*"]
  gateways: [gateway]
  tcp: [{match: [{port: 31400}], route: [{destination: {host: store, port: {number: 7000}}}]}]
)";

// A sidecar and a gateway with two connections, IPv4 and IPv6, in each state that they can be held in.
struct EveryState {
  explicit EveryState(AgentOptions options) {
    mesh.apply("mesh-config.yaml", mesh_config("defaultConfig: {gatewayTopology: {proxyProtocol: {}}}"));
    mesh.apply("end.yaml", kManifests);
    mesh.echo(store, 7000, "store");
    // A packet filter that answers nothing: these connections stay dialled.
    must_run({"iptables", "-A", "INPUT", "-p", "tcp", "--dport", "7001", "-j", "DROP"}, &store.netns);
    must_run({"ip6tables", "-A", "INPUT", "-p", "tcp", "--dport", "7001", "-j", "DROP"}, &store.netns);
    sidecar = &mesh.sidecar(client, "client", options);
    gateway = &mesh.gateway(edge, "gateway", options);

    for (const char* to : {"10.0.50.1:7000", "[fd00:50::1]:7000"}) open.push_back(dial(client, address(to)));
    for (const char* to : {"10.0.50.2:7443", "[fd00:50::2]:7443"}) open.push_back(dial(client, address(to)));
    for (const bool ipv6 : {false, true}) open.push_back(dial(client, store.at(7001, ipv6)));
    EVENTUALLY(states(*sidecar) ==
               std::map<std::string, int>{{"relaying", 2}, {"inspecting", 2}, {"connecting", 2}});
    // From outside of the mesh: the gateway waits for a PROXY header.
    for (const bool ipv6 : {false, true}) outside.push_back(dial(store, edge.at(31400, ipv6)));
    EVENTUALLY(states(*gateway) == std::map<std::string, int>{{"inspecting", 2}});
  }

  Mesh mesh;
  Pod& client = mesh.pod("client", "10.12.0.11");
  Pod& store = mesh.pod("store", "10.12.0.12");
  Pod& edge = mesh.pod("edge", "10.12.0.13");
  Agent* sidecar = nullptr;
  Agent* gateway = nullptr;
  std::vector<Fd> open, outside;
};

void check_ended(Agent& agent, size_t lines) {
  const auto status = agent.process().wait();
  INFO(agent.errors());
  CHECK(status.value_or(-1) == 0);
  CHECK(agent.log().size() == lines);
  CHECK_THAT(agent.errors(), Catch::Contains("ended"));
}

TEST_CASE("an agent ends with status 0 and a line for each connection, in whichever state they are") {
  const std::string data_path = GENERATE("epoll", "io_uring", "auto");
  const int signal = GENERATE(SIGTERM, SIGINT);
  CAPTURE(data_path, signal);
  EveryState all({.data_path = data_path});
  all.sidecar->process().signal(signal);
  all.gateway->process().signal(signal);
  check_ended(*all.sidecar, 6);
  check_ended(*all.gateway, 2);
}

TEST_CASE("SIGINT, or SIGTERM once more, ends an agent that drains, whatever is still open") {
  const int second = GENERATE(SIGTERM, SIGINT);
  EveryState all({.more = {"--drain-duration", "600s"}});
  for (Agent* agent : {all.sidecar, all.gateway}) {
    agent->process().signal(SIGTERM);
    EVENTUALLY(agent->readiness().first == 503);
  }
  CHECK(states(*all.sidecar).at("connecting") == 2);
  for (Agent* agent : {all.sidecar, all.gateway}) agent->process().signal(second);
  check_ended(*all.sidecar, 6);
  check_ended(*all.gateway, 2);
}

TEST_CASE("connections that are held for want of a configuration end with the agent") {
  const int signal = GENERATE(SIGTERM, SIGINT);
  Mesh mesh;
  mesh.apply("broken.yaml", "kind: [");
  Pod& pod = mesh.pod("web", "10.12.0.11");
  Pod& other = mesh.pod("other", "10.12.0.12");
  Agent& agent = mesh.sidecar(pod, "web", {.ready = false});
  std::vector<Fd> held;
  for (const bool ipv6 : {false, true}) held.push_back(dial(pod, other.at(7000, ipv6)));
  EVENTUALLY(states(agent) == std::map<std::string, int>{{"accepted", 2}});
  agent.process().signal(signal);
  CHECK(agent.process().wait().value_or(-1) == 0);
  for (const Fd& one : held) {
    char byte = 0;
    CHECK(recv(one.get(), &byte, 1, 0) < 0);
    CHECK(errno == ECONNRESET);
  }
}

}  // namespace
}  // namespace sockmesh::test
