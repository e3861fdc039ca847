// Lane 3 end to end: the application's own connection goes to the endpoint, and the agent sees it like any
// other. The application is this process: its sockets are made in the client pod's cgroup.
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <set>

#include "base/tcp_socket.h"
#include "mesh.h"
#include "test_support/cgroup.h"
#include "test_support/eventually.h"
#include "two_pods.h"
#include "two_sidecars.h"

namespace sockmesh::test {
namespace {

constexpr const char* kMark = "0x20000000";

// A store without a sidecar, and a client whose sidecar has lane 3.
struct DirectClient {
  explicit DirectClient(std::vector<std::string> more = {}, std::string mark = kMark) {
    mesh.apply("pods.yaml", two_pods_of_one_family({{"tcp", 7000}}));
    mesh.echo(store, 7000, "store");
    options.ns = "data";
    options.direct_mark = std::move(mark);
    options.more = std::move(more);
    options.more.insert(options.more.end(), {"--pod-cgroup", cgroup.path()});
    agent = &mesh.sidecar(client, "client-0", options);
    cgroup.enter();  // what was started before stays where it is
  }

  SocketAddress service(bool ipv6 = false) const {
    return {IpAddress::parse(ipv6 ? kStoreService6 : kStoreService4).value(), 7000};
  }
  // A connection of the application, or errno.
  std::pair<Fd, int> connect(const SocketAddress& to) {
    std::pair<Fd, int> made;
    client.netns.run([&] {
      made.first = Fd(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_storage storage{};
      const socklen_t length = to.to_sockaddr(storage);
      if (::connect(made.first.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0)
        made.second = errno;
    });
    return made;
  }
  static std::string ask(const Fd& connection, const std::string& line) {
    const std::string text = line + "\n";
    if (send(connection.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) return "";
    std::string answer;
    for (char byte = 0; recv(connection.get(), &byte, 1, 0) == 1 && byte != '\n';) answer.push_back(byte);
    return answer;
  }
  nlohmann::json lane() const {
    for (const auto& lane : agent->ctl("lanes"))
      if (lane["lane"] == "direct") return lane;
    return {};
  }
  nlohmann::json flows() const { return agent->ctl("flows")["flows"]; }

  Mesh mesh;
  Pod& client = mesh.pod("client", kClientIp);
  Pod& store = mesh.pod("store", kStoreIp);
  Cgroup cgroup;
  AgentOptions options;
  Agent* agent = nullptr;
};

TEST_CASE("a direct connection goes to the endpoint itself, and is seen like any other") {
  const bool ipv6 = GENERATE(false, true);
  DirectClient pod;
  INFO(pod.agent->errors());
  REQUIRE(pod.lane()["available"] == true);

  auto [connection, error] = pod.connect(pod.service(ipv6));
  REQUIRE(error == 0);
  CHECK(DirectClient::ask(connection, "hello") == "store hello");
  CHECK(SocketAddress::peer_of(connection.get()).value() == pod.service(ipv6));
  const std::string local = SocketAddress::local_of(connection.get())->to_string();

  const auto flows = pod.flows();
  REQUIRE(flows.size() == 1);
  INFO(flows.dump(1));
  CHECK(flows[0]["lane"] == "direct");
  CHECK(flows[0]["downstream"] == local);
  CHECK(flows[0]["upstreamLocal"] == local);
  CHECK(flows[0]["originalDestination"] == pod.service(ipv6).to_string());
  CHECK(flows[0]["upstream"] == pod.store.at(7000, ipv6).to_string());
  CHECK(flows[0]["cluster"] == (ipv6 ? "outbound|7000||store6.data.svc.cluster.local"
                                     : "outbound|7000||store.data.svc.cluster.local"));
  CHECK(flows[0]["bytesReceived"] == 6);
  CHECK(flows[0]["bytesSent"] == 12);
  CHECK(flows[0]["state"] == "relaying");
  CHECK(flows[0]["roundTripMs"] >= 0.0);

  const auto kernel = pod.agent->ctl("status")["direct"];
  CHECK(kernel["hosts"] >= 2);
  CHECK(kernel["mapBytesAtMost"] > 1'000'000);
  CHECK(kernel["mapBytesAtMost"] < 100'000'000);

  connection.reset();
  EVENTUALLY(pod.agent->log().size() == 1);
  const AccessLine line = pod.agent->log().at(0);
  INFO(line.text);
  CHECK(line.flags == "-");
  CHECK(line.received == 6);
  CHECK(line.sent == 12);
  CHECK(line.upstream == pod.store.at(7000, ipv6).to_string());
  CHECK(line.client == local);
  CHECK(line.destination == pod.service(ipv6).to_string());
  CHECK(pod.lane()["flowsTotal"] == 1);
  CHECK(pod.flows().empty());
  const std::string metrics = pod.agent->metrics();
  CHECK(metrics.find("istio_tcp_connections_opened_total{") != std::string::npos);
}

TEST_CASE("where the rules do not let its mark pass, the direct lane is off and says so") {
  DirectClient pod({}, "");
  INFO(pod.lane().dump());
  CHECK(pod.lane()["available"] == false);
  CHECK(pod.lane()["verdict"].get<std::string>().find("sockmesh-init --direct-mark 0x20000000") !=
        std::string::npos);
  auto [connection, error] = pod.connect(pod.service());
  REQUIRE(error == 0);
  CHECK(DirectClient::ask(connection, "hello") == "store hello");
  CHECK(pod.flows().at(0)["lane"] != "direct");
}

TEST_CASE("what asks for the proxy goes through it, and explain says why") {
  DirectClient pod;
  pod.mesh.apply("rule.yaml",
                 "apiVersion: networking.istio.io/v1\n"
                 "kind: DestinationRule\n"
                 "metadata: {name: store, namespace: data}\n"
                 "spec:\n"
                 "  host: store.data.svc.cluster.local\n"
                 "  trafficPolicy: {connectionPool: {tcp: {idleTimeout: 30s}}}\n");
  const auto lane_step = [&] {
    const auto explained = pod.agent->ctl("explain " + pod.service().to_string());
    for (const auto& step : explained["steps"])
      if (step["stage"] == "lane") return step["text"].get<std::string>();
    return std::string();
  };
  EVENTUALLY(lane_step().find("through the proxy: an idleTimeout is set") == 0);
  EVENTUALLY([&] {
    auto [connection, error] = pod.connect(pod.service());
    return error == 0 && DirectClient::ask(connection, "hello") == "store hello" &&
           pod.flows().at(0)["lane"] != "direct";
  }());
}

TEST_CASE("a changed configuration leads new direct connections, and touches no open one") {
  DirectClient pod;
  Pod& other = pod.mesh.pod("other", "10.12.5.10");
  Cgroup::leave();
  pod.mesh.echo(other, 7000, "other");
  pod.cgroup.enter();
  auto [before, error] = pod.connect(pod.service());
  REQUIRE(error == 0);
  CHECK(DirectClient::ask(before, "1") == "store 1");
  std::string manifests = two_pods_of_one_family({{"tcp", 7000}});
  const std::string from = kStoreIp;
  for (size_t at = 0; (at = manifests.find(from, at)) != std::string::npos; at += from.size())
    manifests.replace(at, from.size(), "10.12.5.10");
  pod.mesh.apply("pods.yaml", manifests);
  EVENTUALLY([&] {
    auto [after, refused] = pod.connect(pod.service());
    return refused == 0 && DirectClient::ask(after, "2") == "other 2";
  }());
  CHECK(DirectClient::ask(before, "3") == "store 3");
}

TEST_CASE("the application gets the endpoint's refusal, and it is logged as any other") {
  DirectClient pod;
  pod.mesh.apply("pods.yaml", two_pods_of_one_family({{"tcp", 7000}, {"nobody", 7009}}));
  const SocketAddress nobody{pod.service().ip, 7009};
  EVENTUALLY([&] {
    auto [connection, error] = pod.connect(nobody);
    return error == ECONNREFUSED;
  }());
  // Before the configuration had come it was Passthrough's.
  EVENTUALLY((!pod.agent->log().empty() &&
              pod.agent->log().back().cluster == "outbound|7009||store.data.svc.cluster.local"));
  const AccessLine line = pod.agent->log().back();
  INFO(line.text);
  CHECK(line.flags == "UF,URX");
  CHECK(line.text.find("delayed_connect_error:_Connection_refused") != std::string::npos);
}

TEST_CASE("where nobody can be chosen connect() is refused at once, with a line of the log") {
  DirectClient pod;
  pod.mesh.apply("mesh-config.yaml", mesh_config("outboundTrafficPolicy: {mode: REGISTRY_ONLY}"));
  const SocketAddress stranger{IpAddress::parse("10.0.99.1").value(), 80};
  EVENTUALLY(pod.connect(stranger).second == ECONNREFUSED);
  EVENTUALLY((!pod.agent->log().empty() && pod.agent->log().back().cluster == "BlackHoleCluster"));
  const AccessLine line = pod.agent->log().back();
  INFO(line.text);
  CHECK(line.flags == "UH");
  CHECK(line.upstream == "-");
  CHECK(line.destination == stranger.to_string());
  CHECK(line.client == std::string(kClientIp) + ":0");
}

TEST_CASE("maxConnections bounds proxied and direct connections together") {
  DirectClient pod;
  pod.mesh.apply("rule.yaml",
                 "apiVersion: networking.istio.io/v1\n"
                 "kind: DestinationRule\n"
                 "metadata: {name: store, namespace: data}\n"
                 "spec:\n"
                 "  host: store.data.svc.cluster.local\n"
                 "  trafficPolicy: {connectionPool: {tcp: {maxConnections: 2}}}\n");
  EVENTUALLY(pod.agent->ctl("clusters").dump().find("\"maxConnections\":2") != std::string::npos);
  const auto switch_lane = [&](const char* state) {
    must_run({built_program("sockmeshctl"), "--run-dir", pod.agent->run_dir(), "lanes", "direct", state});
  };
  switch_lane("off");
  auto [proxied, first_error] = pod.connect(pod.service());
  REQUIRE(DirectClient::ask(proxied, "1") == "store 1");
  switch_lane("on");
  auto [direct, second_error] = pod.connect(pod.service());
  REQUIRE(DirectClient::ask(direct, "2") == "store 2");
  CHECK(pod.flows().size() == 2);
  // Led to the proxy once the kernel knows of its connection, and refused there.
  EVENTUALLY(DirectClient::ask(pod.connect(pod.service()).first, "3").empty());
  EVENTUALLY((!pod.agent->log().empty() && pod.agent->log().back().flags == "UO"));
  CHECK(DirectClient::ask(direct, "4") == "store 4");
}

TEST_CASE("switched off, new connections go through the proxy and direct ones go on") {
  DirectClient pod;
  auto [direct, error] = pod.connect(pod.service());
  REQUIRE(error == 0);
  must_run({built_program("sockmeshctl"), "--run-dir", pod.agent->run_dir(), "lanes", "direct", "off"});
  auto [proxied, refused] = pod.connect(pod.service());
  REQUIRE(refused == 0);
  CHECK(DirectClient::ask(direct, "1") == "store 1");
  CHECK(DirectClient::ask(proxied, "2") == "store 2");
  std::multiset<bool> lanes;
  for (const auto& flow : pod.flows()) lanes.insert(flow["lane"] == "direct");
  CHECK(lanes == std::multiset<bool>{false, true});
  CHECK(pod.lane()["enabled"] == false);
}

TEST_CASE("a killed agent harms no direct connection, and the next one goes on with it") {
  BpfFolder bpf;
  DirectClient pod({"--direct-pins", bpf.pod()});
  INFO(pod.agent->errors());
  auto [before, error] = pod.connect(pod.service());
  REQUIRE(error == 0);
  CHECK(DirectClient::ask(before, "1") == "store 1");
  pod.agent->process().kill();
  // By the last good decisions.
  auto [meanwhile, refused] = pod.connect(pod.service());
  REQUIRE(refused == 0);
  CHECK(DirectClient::ask(meanwhile, "2") == "store 2");
  CHECK(DirectClient::ask(before, "3") == "store 3");

  Cgroup::leave();
  Agent& next = pod.mesh.agent(pod.client, "client-0", pod.options);
  pod.agent = &next;
  INFO(next.errors());
  EVENTUALLY(pod.flows().size() == 2);
  for (const auto& flow : pod.flows()) {
    CHECK(flow["lane"] == "direct");
    CHECK(flow["cluster"] == "outbound|7000||store.data.svc.cluster.local");
  }
  before.reset();
  meanwhile.reset();
  EVENTUALLY(next.log().size() == 2);
  uint64_t received = 0;
  for (const AccessLine& line : next.log()) received += line.received;
  CHECK(received == 6);
}

TEST_CASE("an agent that may not have the lane takes an earlier one's decisions out of force") {
  BpfFolder bpf;
  DirectClient pod({"--direct-pins", bpf.pod()});
  auto [before, error] = pod.connect(pod.service());
  REQUIRE(error == 0);
  pod.agent->process().kill();
  Cgroup::leave();
  AgentOptions options = pod.options;
  options.more.insert(options.more.end(), {"--app-lanes", "off"});
  pod.agent = &pod.mesh.agent(pod.client, "client-0", options);
  pod.cgroup.enter();
  CHECK_FALSE(std::filesystem::exists(bpf.pod()));
  auto [after, refused] = pod.connect(pod.service());
  REQUIRE(refused == 0);
  CHECK(DirectClient::ask(after, "1") == "store 1");
  REQUIRE(pod.flows().size() == 1);
  CHECK(pod.flows()[0]["lane"] != "direct");
  CHECK(DirectClient::ask(before, "2") == "store 2");  // goes on
}

TEST_CASE("cleaning up reaches the direct lane of an agent that is gone") {
  BpfFolder bpf;
  DirectClient pod({"--direct-pins", bpf.pod()});
  auto [before, error] = pod.connect(pod.service());
  REQUIRE(error == 0);
  pod.agent->process().kill();
  must_run({built_program("sockmesh-init"), "--cleanup-only", "--direct-pins", bpf.pod()}, &pod.client.netns);
  CHECK_FALSE(std::filesystem::exists(bpf.pod()));
  // Nobody leads there any more, and no rule either: the service's address is routed nowhere.
  CHECK(pod.connect(pod.service()).second != 0);
  CHECK(DirectClient::ask(before, "1") == "store 1");
}

TEST_CASE("every stream by direct connections, to a sidecar that relays") {
  TwoSidecars two("direct");
  for (const Scenario scenario : all_scenarios())
    for (const bool ipv6 : {false, true})
      two.check({.scenario = scenario,
                 .bytes = scenario == Scenario::kTinyWrites ? 5000u : 300'000u,
                 .ipv6 = ipv6});
  CHECK(two.lane_flows("direct") == static_cast<int64_t>(all_scenarios().size() * 2 * StreamRun{}.flows));
}

TEST_CASE("direct streams go on while their agent is killed and the next one starts") {
  BpfFolder bpf;
  TwoSidecars two("direct", {"--direct-pins", bpf.pod()});
  const StreamRun run{.flows = 20, .bytes = 2'000'000, .client_options = {"--hold-at", "1000000"}};
  Process server = two.start_server(run);
  Process client = two.start_client(run);
  EVENTUALLY(client.output().find("holding") != std::string::npos);
  two.client.process().kill();
  client.signal(SIGUSR1);
  Agent& next = two.restart_client();
  INFO(client.output());
  CHECK(client.wait(std::chrono::seconds(60)).value_or(-1) == 0);
  CHECK(server.wait(std::chrono::seconds(60)).value_or(-1) == 0);
  EVENTUALLY(next.log().size() == 20);  // whichever had ended before it came: their events had waited
  uint64_t received = 0, sent = 0;
  for (const AccessLine& line : next.log()) {
    received += line.received;
    sent += line.sent;
  }
  CHECK(received == tally_of(client)["sent"].get<uint64_t>());
  CHECK(sent == tally_of(client)["received"].get<uint64_t>());
}

}  // namespace
}  // namespace sockmesh::test
