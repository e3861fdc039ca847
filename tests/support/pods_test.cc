// The namespaces themselves: pods reach each other over both families, programs run where they are put, and
// nothing stays behind.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "test_support/eventually.h"
#include "test_support/http.h"
#include "test_support/netns.h"
#include "test_support/temp_dir.h"

namespace sockmesh::test {
namespace {

// Gone, or a zombie that nobody has waited for yet.
bool ended(pid_t pid) {
  return kill(pid, 0) != 0 || read_text(fmt::format("/proc/{}/stat", pid)).find(" Z ") != std::string::npos;
}

TEST_CASE("pods exchange streams over both families") {
  PodNetwork network;
  Pod& web = network.add("web");
  Pod& cli = network.add("cli");
  for (const bool ipv6 : {false, true}) {
    const std::string address = web.at(7000, ipv6).to_string();
    auto server =
        Process::start({.argv = {built_program("sm-streams"), "server", "--listen", address, "--flows", "5"},
                        .netns = &web.netns});
    REQUIRE(server);
    EVENTUALLY(server->output().find("listening") != std::string::npos);
    const auto client =
        run({.argv = {built_program("sm-streams"), "client", "--connect", address, "--flows", "5"},
             .netns = &cli.netns});
    CHECK(client.status == 0);
    const auto tally = nlohmann::json::parse(client.output);
    CHECK(tally["received"] == 5 * 65536);
    CHECK(server->wait().value_or(-1) == 0);
  }
}

TEST_CASE("namespaces and what runs in them end with the object") {
  std::string path;
  pid_t pid = 0;
  {
    const Netns netns("short");
    path = "/run/netns/" + netns.name();
    CHECK(std::filesystem::exists(path));
    // A child that left its group and its parent, as a daemon does.
    const char* const daemon =
        "setsid sleep 100 >/dev/null 2>&1 & "
        "until [ \"$(cut -d' ' -f5 /proc/$!/stat)\" = $! ]; do :; done; echo $!";  // leads a group of its own
    pid = parse_number<pid_t>(trim(must_run({"bash", "-c", daemon}, &netns))).value_or(0);
    REQUIRE(pid > 0);
    CHECK(kill(pid, 0) == 0);
  }
  CHECK_FALSE(std::filesystem::exists(path));
  EVENTUALLY(ended(pid));
}

TEST_CASE("what a killed test left is removed by the next one") {
  // A namespace that names a process which is no more.
  const pid_t dead = fork();
  if (dead == 0) _exit(0);
  REQUIRE(waitpid(dead, nullptr, 0) == dead);
  const std::string name = fmt::format("smtest-{}-1-left", dead);
  must_run({"ip", "netns", "add", name});
  remove_leftover_namespaces();
  CHECK_FALSE(std::filesystem::exists("/run/netns/" + name));
}

TEST_CASE("metrics are summed over matching labels") {
  const std::string text =
      "# TYPE a_total counter\n"
      "a_total{reporter=\"source\",x=\"1\"} 3\n"
      "a_total{reporter=\"source\",x=\"2\"} 4\n"
      "a_total{reporter=\"destination\",x=\"2\"} 8\n"
      "a_total_other 100\n"
      "b 7.5\n";
  CHECK(metric(text, "a_total") == 15);
  CHECK(metric(text, "a_total", {{"reporter", "source"}}) == 7);
  CHECK(metric(text, "a_total", {{"reporter", "source"}, {"x", "2"}}) == 4);
  CHECK(metric(text, "b") == 7.5);
  CHECK(metric(text, "c") == 0);
}

}  // namespace
}  // namespace sockmesh::test
