// What each process may do, as the table in SECURITY.md says: what an agent keeps, and that nothing more than
// what stands there is needed to begin with.
#include <linux/capability.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <initializer_list>

#include "mesh.h"

namespace sockmesh::test {
namespace {

// A command that runs another as root with these capabilities alone.
std::vector<std::string> with_only(const std::string& capabilities) {
  return {"setpriv", "--bounding-set", "-all," + capabilities};
}

// Of every thread, since capabilities belong to threads.
void check_privileges(Agent& agent, uid_t uid, std::initializer_list<int> kept) {
  uint64_t capabilities = 0;
  for (const int one : kept) capabilities |= uint64_t{1} << one;
  const auto held = fmt::format("{:016x}", capabilities);
  size_t threads = 0;
  for (const auto& task :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", agent.process().pid()))) {
    const std::string status = read_text(task.path() / "status");
    const auto says = [&](const std::string& line) {
      CHECK_THAT(status, Catch::Contains("\n" + line + "\n"));
    };
    says(fmt::format("Uid:\t{0}\t{0}\t{0}\t{0}", uid));
    says("Gid:\t1337\t1337\t1337\t1337");
    says("Groups:\t ");
    says("CapPrm:\t" + held);
    says("CapEff:\t" + held);
    says("CapInh:\t0000000000000000");
    says("CapAmb:\t0000000000000000");
    says("NoNewPrivs:\t1");
    ++threads;
  }
  CHECK(threads > 2);
}

TEST_CASE("the agent drops its privileges") {
  Mesh mesh;
  check_privileges(mesh.sidecar(mesh.pod("app-0", "10.12.3.10"), "app-0"), 1337, {});
}

TEST_CASE("a gateway keeps what binding a low port takes, and nothing else") {
  Mesh mesh;
  check_privileges(mesh.gateway(mesh.pod("edge-0", "10.12.3.10"), "edge-0"), 1337, {CAP_NET_BIND_SERVICE});
}

TEST_CASE("under TPROXY the agent keeps root's uid and what dialling as the client takes, and nothing else") {
  Mesh mesh;
  Agent& agent = mesh.sidecar(mesh.pod("app-0", "10.12.3.10"), "app-0", {.interception = "TPROXY"});
  check_privileges(agent, 0, {CAP_NET_ADMIN, CAP_NET_RAW});
}

TEST_CASE("an agent starts with all its lanes on the capabilities that are documented alone") {
  Mesh mesh;
  const auto lanes_of = [&](const std::string& name, const std::string& address,
                            std::vector<std::string> before) {
    Agent& agent = mesh.sidecar(mesh.pod(name, address), name, {.before = std::move(before)});
    const auto status = agent.ctl("status");
    std::string verdicts;
    for (const auto& lane : status["lanes"])
      verdicts +=
          fmt::format("{}: {}\n", lane["lane"].get<std::string>(), lane["verdict"].get<std::string>());
    return verdicts;
  };
  const auto few = with_only("+bpf,+net_admin,+perfmon,+setuid,+setgid,+chown");
  const std::string all = lanes_of("all-0", "10.12.4.10", {});
  CHECK(lanes_of("few-0", "10.12.3.10", few) == all);
  CHECK_THAT(all, Catch::Contains("sk_skb: "));
}

TEST_CASE("sockmesh-init writes its rules on the capabilities that are documented alone") {
  const std::string mode = GENERATE("REDIRECT", "TPROXY");
  const bool validate = GENERATE(false, true);
  CAPTURE(mode, validate);
  Mesh mesh;
  Pod& pod = mesh.pod("app-0", "10.12.3.10");
  std::vector<std::string> flags{"-p", "15001", "-z", "15006", "-u", "1337", "-m", mode,
                                 "-i", "*",     "-x", "",      "-b", "*",    "-d", "15090"};
  if (validate) flags.emplace_back("--run-validation");
  std::vector<std::string> init =
      with_only(validate ? "+net_admin,+net_raw,+setuid,+setgid" : "+net_admin,+net_raw");
  init.push_back(built_program("sockmesh-init"));
  init.insert(init.end(), flags.begin(), flags.end());
  must_run(init, &pod.netns);
  std::vector<std::string> check{built_program("sockmesh-init"), "check"};
  check.insert(check.end(), flags.begin(), flags.end());
  const CommandResult differs = run({.argv = check, .netns = &pod.netns});
  INFO(differs.output);
  CHECK(differs.status == 0);
}

TEST_CASE("sockmeshctl takes no privilege but to be the agent's user") {
  Mesh mesh;
  Agent& agent = mesh.sidecar(mesh.pod("app-0", "10.12.3.10"), "app-0");
  const auto status_as = [&](const std::string& user) {
    return run({.argv = {"setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--bounding-set",
                         "-all", "--inh-caps", "-all", built_program("sockmeshctl"), "--run-dir",
                         agent.run_dir(), "status"}});
  };
  const CommandResult agents = status_as("1337"), somebody = status_as("4242");
  INFO(agents.output << somebody.output);
  CHECK(agents.status == 0);
  CHECK(somebody.status != 0);
  CHECK_THAT(somebody.output, Catch::Contains("admin.sock: permission denied"));
}

}  // namespace
}  // namespace sockmesh::test
