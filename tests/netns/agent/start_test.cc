// What an agent does about an error in what decides policy: at start, where nothing is in force yet, and
// later.
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "mesh.h"
#include "test_support/eventually.h"

namespace sockmesh::test {
namespace {

const char* const kStore = R"(
apiVersion: v1
kind: Service
metadata: {name: store}
spec: {clusterIP: 10.0.50.1, selector: {app: store}, ports: [{name: tcp, port: 7000}]}
---
apiVersion: v1
kind: Pod
metadata: {name: store, labels: {app: store}}
status: {podIP: 10.12.0.12}
)";

const char* const kSidecar = R"(
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: own}
spec:
  outboundTrafficPolicy: {mode: %}
  egress: [{hosts: ["./*"]}]
)";

std::string with(std::string text, const std::string& word) { return text.replace(text.find('%'), 1, word); }

// A client with a sidecar, and two servers: `store` has a Service, `stranger` is registered nowhere.
struct RegistryOnly {
  RegistryOnly() {
    mesh.apply("mesh-config.yaml", mesh_config("outboundTrafficPolicy: {mode: REGISTRY_ONLY}"));
    mesh.apply("store.yaml", kStore);
    mesh.echo(store, 7000, "store");
    mesh.echo(stranger, 9999, "stranger");
  }
  Agent& start() { return mesh.sidecar(client, "client", {.ready = false}); }
  std::string ask_store() { return mesh.ask(client, SocketAddress::parse("10.0.50.1:7000").value(), "hi"); }
  std::string ask_stranger(bool ipv6 = false) { return mesh.ask(client, stranger.at(9999, ipv6), "hi"); }
  // A connection to the stranger that waits for what becomes of it.
  Fd call_stranger() {
    Fd fd;
    client.netns.run([&] {
      fd = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_storage storage{};
      const socklen_t length = stranger.at(9999).to_sockaddr(storage);
      REQUIRE(connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0);
      REQUIRE(send(fd.get(), "hi\n", 3, MSG_NOSIGNAL) == 3);
    });
    return fd;
  }

  Mesh mesh;
  Pod& client = mesh.pod("client", "10.12.0.11");
  Pod& store = mesh.pod("store", "10.12.0.12");
  Pod& stranger = mesh.pod("stranger", "10.12.0.13");
};

struct Breakage {
  std::string name, file, text, mended, said;
};

std::vector<Breakage> breakages() {
  const std::string good = mesh_config("outboundTrafficPolicy: {mode: REGISTRY_ONLY}");
  return {
      {"a tab in the mesh text", "mesh-config.yaml", good + "    \tfoo: [\n", good, "mesh-config.yaml:"},
      {"a byte that is not UTF-8", "mesh-config.yaml",
       "# gr\xfc\xdf"
       "e\n" +
           good,
       good, "mesh-config.yaml:"},
      {"a mode that does not exist", "mesh-config.yaml",
       mesh_config("outboundTrafficPolicy: {mode: REGISTRY-ONLY}"), good, "REGISTRY-ONLY"},
      {"a policy of another shape", "mesh-config.yaml", mesh_config("outboundTrafficPolicy: REGISTRY_ONLY"),
       good, "outboundTrafficPolicy"},
      {"a Sidecar's mode", "sidecar.yaml", with(kSidecar, "NOBODY"), with(kSidecar, "REGISTRY_ONLY"),
       "NOBODY"},
      {"a file that is something else", "other.yaml", "kind: [Sidecar\n",
       "apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n", "other.yaml:"},
  };
}

TEST_CASE("at start an error in what decides policy means: not ready, connections held, and it is said") {
  const Breakage broken = GENERATE(from_range(breakages()));
  INFO(broken.name);
  RegistryOnly world;
  world.mesh.apply(broken.file, broken.text);
  Agent& agent = world.start();
  EVENTUALLY(agent.readiness().second.find(broken.said) != std::string::npos);
  CHECK(agent.readiness().first == 503);

  const Fd waiting = world.call_stranger();
  EVENTUALLY(agent.open_flows() == 1);
  CHECK(agent.ctl("flows")["flows"][0]["state"] == "accepted");
  const auto status = agent.ctl("status");
  CHECK(status["ready"] == false);
  CHECK(status["config"]["version"].is_null());
  CHECK(status["config"]["refused"] == true);
  CHECK_THAT(status["config"]["lastError"].get<std::string>(), Catch::Contains(broken.said));
  CHECK_THAT(agent.errors(), Catch::Contains("connections are held") && Catch::Contains(broken.said));
  const std::string table =
      must_run({built_program("sockmeshctl"), "--run-dir", agent.run_dir(), "status"}, &world.client.netns);
  CHECK_THAT(table, Catch::Contains("not admitted, connections are held") && !Catch::Contains("stays"));

  // As soon as it is mended, what was held goes the way that the policy says.
  world.mesh.apply(broken.file, broken.mended);
  EVENTUALLY(agent.readiness().first == 200);
  char byte = 0;
  CHECK(recv(waiting.get(), &byte, 1, 0) <= 0);
  CHECK(world.ask_stranger() == "");
  CHECK(world.ask_store() == "store hi");
}

TEST_CASE("an ordinary object that is broken holds nobody, at start or later") {
  RegistryOnly world;
  world.mesh.apply("bad.yaml",
                   "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {clusterIP: 10.0.50.9, "
                   "ports: [{name: tcp, port: 70000}]}\n");
  Agent& agent = world.start();
  EVENTUALLY(agent.readiness().first == 200);
  CHECK(world.ask_store() == "store hi");
  CHECK(world.ask_stranger() == "");
  const auto config = agent.ctl("status")["config"];
  CHECK(config["problems"].get<int>() >= 1);
  CHECK(config["refused"] == false);
  CHECK_THAT(config["lastError"].get<std::string>(), Catch::Contains("bad.yaml:4"));
}

TEST_CASE("a folder without an object is no configuration yet") {
  RegistryOnly world;
  for (const char* file : {"mesh-config.yaml", "store.yaml"}) world.mesh.remove(file);
  Agent& agent = world.start();
  EVENTUALLY(agent.readiness().second.find("no object") != std::string::npos);
  const Fd waiting = world.call_stranger();
  EVENTUALLY(agent.open_flows() == 1);
  world.mesh.apply("mesh-config.yaml", mesh_config("outboundTrafficPolicy: {mode: REGISTRY_ONLY}"));
  EVENTUALLY(agent.readiness().first == 200);
  char byte = 0;
  CHECK(recv(waiting.get(), &byte, 1, 0) <= 0);
}

TEST_CASE("with a configuration in force an error never widens policy, and mended texts are taken") {
  RegistryOnly world;
  world.mesh.apply("sidecar.yaml", with(kSidecar, "REGISTRY_ONLY"));
  Agent& agent = world.start();
  EVENTUALLY(agent.readiness().first == 200);
  const auto errors = [&](const std::string& text) {
    EVENTUALLY(agent.ctl("status")["config"]["problems"] > 0);
    EVENTUALLY(agent.errors().find(text) != std::string::npos);
    CHECK(agent.readiness().first == 200);
    CHECK(world.ask_store() == "store hi");
    CHECK(world.ask_stranger() == "");
    CHECK(world.ask_stranger(true) == "");
  };

  for (const Breakage& broken : breakages()) {
    INFO(broken.name);
    world.mesh.apply(broken.file, broken.text);
    errors(broken.said);
    world.mesh.apply(broken.file, broken.mended);
    EVENTUALLY(agent.ctl("status")["config"]["problems"] == 0);
  }
  // Moved to another file and broken there: in that file there is no last good version.
  world.mesh.apply("moved.yaml", "kind: [ConfigMap\n");
  world.mesh.remove("mesh-config.yaml");
  errors("which decides policy, is missing");
  CHECK(agent.ctl("status")["config"]["refused"] == true);
  world.mesh.apply("moved.yaml", mesh_config("outboundTrafficPolicy: {mode: REGISTRY_ONLY}"));
  EVENTUALLY(agent.ctl("status")["config"]["refused"] == false);
  CHECK(world.ask_stranger() == "");
  // Deleted on purpose, all of it readable: Istio's defaults.
  world.mesh.remove("sidecar.yaml");
  world.mesh.remove("other.yaml");
  world.mesh.remove("moved.yaml");
  EVENTUALLY(world.ask_stranger() == "stranger hi");
}

TEST_CASE("SIGHUP reads again what no watch told of: a hard link") {
  RegistryOnly world;
  const TempDir elsewhere;
  Agent& agent = world.start();
  EVENTUALLY(agent.readiness().first == 200);
  const std::string other = elsewhere.file("linked.yaml");
  std::filesystem::create_hard_link(world.mesh.config() + "/store.yaml", other);
  EVENTUALLY(agent.ctl("status")["config"]["generation"] == 1);
  // In place, through the other name.
  std::string text = read_text(other);
  text.replace(text.find("10.0.50.1"), 9, "10.0.50.3");
  std::ofstream(other) << text;
  agent.process().signal(SIGHUP);
  EVENTUALLY(agent.ctl("status")["config"]["generation"] == 2);
  CHECK(world.mesh.ask(world.client, SocketAddress::parse("10.0.50.3:7000").value(), "hi") == "store hi");
  CHECK(world.ask_store() == "");
}

TEST_CASE("a folder of garbage costs a bounded number of log lines, however often it changes") {
  RegistryOnly world;
  Agent& agent = world.start();
  EVENTUALLY(agent.readiness().first == 200);
  const auto lines = [&] {
    const std::string said = agent.errors();
    return std::count(said.begin(), said.end(), '\n');
  };
  const auto before = lines();
  const auto began = std::chrono::steady_clock::now();
  for (int round = 0; round < 6; ++round) {
    std::string text;
    for (int i = 0; i < 3000; ++i)
      text += fmt::format(
          "apiVersion: v1\nkind: Service\nmetadata: {{name: bad-{}-{}}}\nspec: {{clusterIP: "
          "nowhere}}\n---\n",
          round, i);
    world.mesh.apply("garbage.yaml", text);
    EVENTUALLY(agent.ctl("status")["config"]["rejected"].get<int>() > round);
  }
  CHECK(agent.ctl("status")["config"]["problems"].get<int>() >= 1000);
  CHECK(lines() - before > 20);
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - began).count();
  CHECK(lines() - before <= 100 + seconds);  // the burst, and one a second since
  CHECK_THAT(agent.errors(), Catch::Contains("more problems in this load"));
}

TEST_CASE("root that may not become another user is told what it lacks, and what to do") {
  RegistryOnly world;
  const std::string lacks = GENERATE("setgid", "setuid");
  const auto [status, said] = world.mesh.refused_agent(
      world.client, "client", {.before = {"setpriv", "--bounding-set", "-" + lacks}});
  INFO(said);
  CHECK(status == 1);
  CHECK_THAT(said, Catch::Contains("Operation not permitted") && Catch::Contains("CAP_SETGID") &&
                       Catch::Contains("runAsUser 1337"));
}

TEST_CASE("why there is no lane in the kernel is said in one line") {
  RegistryOnly world;
  Agent& agent =
      world.mesh.sidecar(world.client, "client",
                         {.before = {"setpriv", "--bounding-set", "-bpf,-perfmon,-sys_admin,-sys_resource"}});
  const auto status = agent.ctl("status");
  const std::string verdict = status["lanes"][1]["verdict"].get<std::string>();
  CHECK_THAT(verdict, Catch::Contains("CAP_BPF"));
  CHECK(verdict.find('\n') == std::string::npos);
  const std::string said = agent.errors();
  for (const std::string_view line : split(said, '\n', true))
    CHECK(line.starts_with("20"));  // each has its time
}

}  // namespace
}  // namespace sockmesh::test
