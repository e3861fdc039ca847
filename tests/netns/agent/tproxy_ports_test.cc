// Interception mode TPROXY with both pods on one kernel: the agent dials from the client's address, so from a
// port that the client must not be using, nor come to use (upstream/source_ports.h). A connection for which
// that goes wrong hangs.
//
//   client-0: sm-streams ── C:p ─▶ agent of store-0 ── C:q ─▶ sm-streams
#include <catch2/catch.hpp>
#include <csignal>

#include "mesh.h"
#include "test_support/eventually.h"

namespace sockmesh::test {
namespace {

struct Churning {
  Churning() : client(mesh.pod("client-0", "10.12.3.10")), store(mesh.pod("store-0", "10.12.4.10")) {
    // Ports of connections that ended are for use again after a second instead of a minute.
    client.netns.set_sysctl("net/ipv4/tcp_tw_reuse", "1");
  }

  Agent& sidecar() { return mesh.sidecar(store, "store-0", {.interception = "TPROXY"}); }
  void client_ports(const char* range) { client.netns.set_sysctl("net/ipv4/ip_local_port_range", range); }

  Process server() {
    auto process = Process::start(
        {.argv = {built_program("sm-streams"), "server", "--listen", store.at(7000, false).to_string(),
                  "--listen", store.at(7000, true).to_string()},
         .netns = &store.netns});
    REQUIRE(process);
    EVENTUALLY(std::ranges::count(process->output(), '\n') == 2);
    return std::move(*process);
  }

  Process streams(bool ipv6, int flows, int concurrency, uint64_t seed,
                  const std::vector<std::string>& more = {}) {
    std::vector<std::string> argv{built_program("sm-streams"), "client"};
    argv.insert(argv.end(), {"--connect", store.at(7000, ipv6).to_string()});
    argv.insert(argv.end(), {"--flows", std::to_string(flows)});
    argv.insert(argv.end(), {"--concurrency", std::to_string(concurrency)});
    argv.insert(argv.end(), {"--bytes", "200", "--seed", std::to_string(seed), "--timeout", "150"});
    argv.insert(argv.end(), more.begin(), more.end());
    auto process = Process::start({.argv = argv, .netns = &client.netns});
    REQUIRE(process);
    return std::move(*process);
  }

  // Connections that stand until SIGUSR1.
  Process standing(bool ipv6, int flows) {
    Process process = streams(ipv6, flows, flows, 1, {"--hold-at", "64"});
    EVENTUALLY(process.output().find("holding") != std::string::npos);
    return process;
  }
  static void finish(Process& standing) {
    standing.signal(SIGUSR1);
    const int status = standing.wait().value_or(-1);
    INFO("standing: " << standing.output());
    CHECK(status == 0);
  }

  // Connections that come and go; each must succeed.
  void churn(bool ipv6, int flows) {
    Process churning = streams(ipv6, flows, 50, 2);
    const int status = churning.wait(std::chrono::seconds(70)).value_or(-1);
    INFO("churn: " << churning.output());
    CHECK(status == 0);
  }

  Mesh mesh;
  Pod& client;
  Pod& store;
};

size_t failed_lines(const Agent& agent) {
  size_t failed = 0;
  for (const AccessLine& line : agent.log()) failed += line.flags != "-" ? 1 : 0;
  return failed;
}

// Connections come and go beside others that stand; the client's ports are `client_ports`.
void run_churn(const char* client_ports, int standing, int flows) {
  const bool ipv6 = GENERATE(false, true);
  CAPTURE(client_ports, ipv6);
  Churning pods;
  Agent& agent = pods.sidecar();
  pods.client_ports(client_ports);
  const Process server = pods.server();
  Process standing_ones = pods.standing(ipv6, standing);
  pods.churn(ipv6, flows);
  Churning::finish(standing_ones);
  EVENTUALLY(agent.log().size() == static_cast<size_t>(standing + flows));
  CHECK(failed_lines(agent) == 0);
}

TEST_CASE("TPROXY: no connection hangs while others come and go, with a client's ordinary ports") {
  run_churn("32768 60999", 300, 2000);
}
TEST_CASE("TPROXY: no connection hangs of a client with few ports") { run_churn("40000 42047", 500, 1200); }
TEST_CASE("TPROXY: no connection hangs of a client whose ports are those of the agent") {
  run_churn("20000 23071", 500, 1200);
}
// A client that uses all ports from 1024 on comes round to the agent's, whatever the agent chooses
// (userspace/README.md says so): no case of these.

TEST_CASE("TPROXY: a port of a connection that the agent knows nothing of is left for another one") {
  // They are older than the rules, so they do not pass the agent: of each tenth of its ports it cannot know,
  // and a SYN from there is not answered.
  const bool ipv6 = GENERATE(false, true);
  CAPTURE(ipv6);
  Churning pods;
  const Process server = pods.server();
  pods.client_ports("1024 32767");
  const Process standing_ones = pods.standing(ipv6, 3000);
  pods.client_ports("32768 60999");
  Agent& agent = pods.sidecar();
  pods.churn(ipv6, 300);
  EVENTUALLY(agent.log().size() >= 300);
  CHECK(failed_lines(agent) == 0);
}

}  // namespace
}  // namespace sockmesh::test
