// Ports of a running agent that come late or go early: a gateway's port that somebody else has, and draining.
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "mesh.h"
#include "test_support/eventually.h"
#include "test_support/http.h"

namespace sockmesh::test {
namespace {

SocketAddress address(const std::string& text) { return SocketAddress::parse(text).value(); }

void drain(Agent& agent, std::vector<std::string> how) {
  std::vector<std::string> argv{built_program("sockmeshctl"), "--run-dir", agent.run_dir(), "drain"};
  argv.insert(argv.end(), how.begin(), how.end());
  must_run(argv);
}

int readiness(Agent& agent) {
  const auto response = http_get(agent.pod().netns, {IpAddress::loopback(false), 15021}, "/healthz/ready");
  return response ? response->status : 0;
}

// A connection that stays open between its lines.
class Talk {
 public:
  Talk(Pod& from, const SocketAddress& to) {
    from.netns.run([&] {
      fd_ = Fd(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_storage storage{};
      const socklen_t length = to.to_sockaddr(storage);
      if (connect(fd_.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) fd_.reset();
    });
  }
  std::string say(const std::string& line) {
    std::string answer;
    char byte = 0;
    if (send(fd_.get(), (line + "\n").data(), line.size() + 1, MSG_NOSIGNAL) < 0) return "";
    while (recv(fd_.get(), &byte, 1, 0) == 1 && byte != '\n') answer.push_back(byte);
    return answer;
  }

 private:
  Fd fd_;
};

struct WebAndDb {
  explicit WebAndDb(AgentOptions options = {}) : agent(mesh.sidecar(db, "db-1", std::move(options))) {
    mesh.echo(db, 9000, "db");
    mesh.echo(web, 9000, "web");
  }
  std::string ask_db() { return mesh.ask(web, address("10.12.0.12:9000"), "hi"); }
  std::string ask_web() { return mesh.ask(db, address("10.12.0.11:9000"), "hi"); }

  Mesh mesh;
  Pod& web = mesh.pod("web", "10.12.0.11");
  Pod& db = mesh.pod("db", "10.12.0.12");
  Agent& agent;
};

TEST_CASE("drained now, inbound only: nobody new gets in, open connections and outbound ones go on") {
  WebAndDb two;
  Talk open(two.web, address("10.12.0.12:9000"));
  CHECK(open.say("hi") == "db hi");
  drain(two.agent, {"--inbound-only", "--now"});
  CHECK(readiness(two.agent) == 503);
  EVENTUALLY(two.ask_db() == "");
  CHECK(open.say("still here") == "db still here");
  CHECK(two.ask_web() == "web hi");
  two.mesh.apply("mesh-config.yaml",
                 mesh_config("connectTimeout: 1s"));  // another configuration opens nothing again
  EVENTUALLY(two.agent.ctl("status")["config"]["generation"] == 2);
  CHECK(two.ask_db() == "");
  CHECK(open.say("and here") == "db and here");

  drain(two.agent, {"--now"});
  EVENTUALLY(two.ask_web() == "");
  CHECK(open.say("even now") == "db even now");
}

TEST_CASE("drained gracefully: not ready at once, but served until the drain time is over") {
  WebAndDb two({.more = {"--drain-time", "2s"}});
  drain(two.agent, {});
  CHECK(readiness(two.agent) == 503);
  CHECK(two.ask_db() == "db hi");
  EVENTUALLY(two.ask_db() == "");
  CHECK(two.ask_web() == "");
}

TEST_CASE("a gateway's port that somebody else has is told, and taken as soon as it is free") {
  Mesh mesh;
  mesh.apply_file("deploy/samples/weights/mesh.yaml");
  Pod& v1 = mesh.pod("v1", "172.17.0.5");
  Pod& v2 = mesh.pod("v2", "172.17.0.6");
  mesh.echo(v1, 9000, "served");
  mesh.echo(v2, 9000, "served");
  Pod& gateway_pod = mesh.pod("gateway", "192.168.99.100");
  Pod& outside = mesh.pod("outside", "192.168.99.1");
  auto squatter =
      Process::start({.argv = {built_program("sm-echo"), "31400", "squatter"}, .netns = &gateway_pod.netns});
  REQUIRE(squatter);
  EVENTUALLY(squatter->output().find("listening") != std::string::npos);

  Agent& gateway = mesh.gateway(gateway_pod, "ingressgateway", {.ns = "istio-system"});
  const nlohmann::json unbound = gateway.ctl("status")["unbound"];
  REQUIRE(unbound.size() >= 1);
  CHECK(unbound[0]["listener"] == "0.0.0.0_31400");
  CHECK_THAT(unbound[0]["error"].get<std::string>(), Catch::Contains("Address already in use"));
  CHECK(gateway.ctl("listeners --port 31400")["listeners"][0]["bindError"] == unbound[0]["error"]);
  CHECK(mesh.ask(outside, address("192.168.99.100:31400"), "x") == "squatter x");

  squatter->kill();
  EVENTUALLY(gateway.ctl("status")["unbound"].empty());
  CHECK(mesh.ask(outside, address("192.168.99.100:31400"), "x") == "served x");
}

}  // namespace
}  // namespace sockmesh::test
