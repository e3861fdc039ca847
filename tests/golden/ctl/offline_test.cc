// The same commands without an agent: a folder of manifests, seen with the eyes of one pod.
#include "cli_fixture.h"

namespace sockmesh::ctl {

namespace {

void check(const std::string& name, std::vector<std::string> arguments) {
  Cli cli;
  cli.agent_there = false;
  arguments.insert(arguments.end(),
                   {"--config", std::string(GOLDEN_DIR) + "/mesh", "--pod", "client.default"});
  INFO(name);
  CHECK(cli.run(std::move(arguments)) == 0);
  CHECK(cli.err.str().empty());
  check_output(name, cli.out.str());
}

}  // namespace

TEST_CASE("offline: listeners, clusters, endpoints") {
  check("offline-listeners", {"listeners", "--port", "9000"});
  check("offline-clusters", {"clusters", "--name", "echo"});
  check("offline-endpoints", {"endpoints", "--cluster", "|v1|"});
  check("offline-pc-listeners", {"pc", "listeners", "--port", "9000"});
}

TEST_CASE("offline: explain") { check("offline-explain", {"explain", "10.96.0.10:9000"}); }

TEST_CASE("offline: a pod that the folder does not know is said to be unknown") {
  Cli cli;
  CHECK(cli.run({"clusters", "--config", std::string(GOLDEN_DIR) + "/mesh", "--pod", "nobody.default"}) == 0);
  CHECK(cli.err.str().find("has no Pod default/nobody") != std::string::npos);
}

TEST_CASE("offline: what cannot be asked there") {
  Cli cli;
  CHECK(cli.run({"explain", "17", "--config", "x", "--pod", "a.b"}) == 1);
  CHECK(cli.err.str() ==
        "sockmeshctl: '17': flow ids are known to a running agent only; offline give IP:PORT\n");
  Cli pod;
  CHECK(pod.run({"listeners", "--config", "x", "--pod", "nodot"}) == 1);
  CHECK(pod.err.str().find("--pod 'nodot': expected NAME.NAMESPACE") != std::string::npos);
}

}  // namespace sockmesh::ctl
