// Arguments, exit statuses and what goes to the agent; the tables are golden tests (tests/golden/ctl).
#include "ctl/cli.h"

#include <catch2/catch.hpp>
#include <map>
#include <sstream>

namespace sockmesh::ctl {

namespace {

struct Cli {
  std::ostringstream out, err;
  std::map<std::string, HttpReply> answers;
  std::vector<std::string> asked;
  std::string run_dir, run_dir_variable;
  bool agent_there = true;

  int run(std::vector<std::string> arguments) {
    World world{
        .out = out,
        .err = err,
        .env = [this](const char*) { return run_dir_variable; },
        .http = [this](const std::string& dir, const std::string& method,
                       const std::string& target) -> Result<HttpReply> {
          run_dir = dir;
          if (!agent_there) return fail("no agent at {}/admin.sock: is it running?", dir);
          asked.push_back(method + " " + target);
          return answers.count(asked.back()) ? answers[asked.back()] : HttpReply{200, R"({"ok":true})"};
        },
        .read_file = [](const std::string& path) -> Result<std::string> { return fail("{}: no file", path); },
        .now = [] { return wall_now(); },
        .pause = [](Duration) { return false; }};
    return ctl::run(std::move(arguments), world);
  }
};

}  // namespace

TEST_CASE("the run directory: flag, then environment, then the usual place") {
  Cli usual;
  usual.run({"drain"});
  CHECK(usual.run_dir == "/run/sockmesh");
  Cli variable;
  variable.run_dir_variable = "/run/a";
  variable.run({"drain"});
  CHECK(variable.run_dir == "/run/a");
  Cli flag;
  flag.run_dir_variable = "/run/a";
  flag.run({"--run-dir", "/run/b", "drain"});
  CHECK(flag.run_dir == "/run/b");
  Cli behind;
  behind.run({"drain", "--run-dir", "/run/c"});
  CHECK(behind.run_dir == "/run/c");
}

TEST_CASE("usage errors are 64 and say what was wrong") {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {}, {"nonsense"}, {"flows", "-o", "xml"}, {"explain"}, {"lanes", "splice", "maybe"}}) {
    Cli cli;
    CHECK(cli.run(arguments) == 64);
    CHECK_FALSE(cli.err.str().empty());
    CHECK(cli.asked.empty());
  }
}

TEST_CASE("no agent: exit status 1 and where it was looked for") {
  Cli cli;
  cli.agent_there = false;
  CHECK(cli.run({"status"}) == 1);
  CHECK(cli.err.str() == "sockmeshctl: no agent at /run/sockmesh/admin.sock: is it running?\n");
  CHECK(cli.out.str().empty());
}

TEST_CASE("what the agent refuses is told in its words") {
  Cli cli;
  cli.answers["POST /v1/splice?enabled=true"] = {409, R"({"error":"lane 1 failed its self-test"})"};
  CHECK(cli.run({"lanes", "splice", "on"}) == 1);
  CHECK(cli.err.str() == "sockmeshctl: lane 1 failed its self-test\n");
}

TEST_CASE("verbs and what they ask of the agent") {
  const auto asked = [](std::vector<std::string> arguments) {
    Cli cli;
    cli.answers["POST /logging"] = cli.answers["POST /logging?level=debug"] =
        cli.answers["POST /logging?paths=agent%3Adebug%2Cdns%3Aoff"] = {200, "active loggers:\n"};
    REQUIRE(cli.run(std::move(arguments)) == 0);
    return cli.asked.back();
  };
  CHECK(asked({"lanes", "splice", "off"}) == "POST /v1/splice?enabled=false");
  CHECK(asked({"drain"}) == "POST /v1/drain?graceful");
  CHECK(asked({"drain", "--now"}) == "POST /v1/drain");
  CHECK(asked({"drain", "--inbound-only"}) == "POST /v1/drain?inboundonly&graceful");
  CHECK(asked({"log"}) == "POST /logging");
  CHECK(asked({"log", "--level", "debug"}) == "POST /logging?level=debug");
  CHECK(asked({"log", "--level", "agent:debug,dns=off"}) == "POST /logging?paths=agent%3Adebug%2Cdns%3Aoff");
}

TEST_CASE("a log level that is none is quoted") {
  Cli cli;
  CHECK(cli.run({"log", "--level", "loud"}) == 1);
  CHECK(cli.err.str().find("level 'loud': expected one of trace") != std::string::npos);
}

TEST_CASE("explain asks what the flags say") {
  const auto asked = [](std::vector<std::string> arguments) {
    Cli cli;
    cli.run(std::move(arguments));
    return cli.asked.empty() ? "" : cli.asked.back();
  };
  CHECK(asked({"explain", "[fd00::1]:80", "-o", "json"}) ==
        "GET /v1/explain?destination=%5Bfd00%3A%3A1%5D%3A80&direction=outbound");
  CHECK(asked({"explain", "10.0.0.1:80", "--inbound", "--source", "10.0.0.2", "-o", "json"}) ==
        "GET /v1/explain?destination=10.0.0.1%3A80&direction=inbound&source=10.0.0.2");
  CHECK(asked({"explain", "10.0.0.1:443", "--alpn", "istio,h2", "-o", "json"}) ==
        "GET /v1/explain?destination=10.0.0.1%3A443&direction=outbound&alpn=istio%2Ch2");
  CHECK(asked({"explain", "10.0.0.1:443", "--sni", "a.b", "-o", "json"}) ==
        "GET /v1/explain?destination=10.0.0.1%3A443&direction=outbound&sni=a.b");
  CHECK(asked({"explain", "10.0.0.1:443", "--plain", "-o", "json"}) ==
        "GET /v1/explain?destination=10.0.0.1%3A443&direction=outbound&tls=false");
  CHECK(asked({"explain", "42", "-o", "json"}) == "GET /v1/explain?flow=42");
}

TEST_CASE("proxy-config for a pod that is not this agent's is refused") {
  Cli cli;
  cli.answers["GET /config_dump?include_eds"] = {200, R"({"configs":[]})"};
  cli.answers["GET /clusters?format=json"] = {200, R"({"cluster_statuses":[]})"};
  cli.answers["GET /v1/status"] = {200, R"({"identity":{"pod":"a","namespace":"b"}})"};
  CHECK(cli.run({"pc", "listeners", "other.b"}) == 1);
  CHECK(cli.err.str().find("'other.b': the agent of /run/sockmesh belongs to a.b") != std::string::npos);
  Cli own;
  own.answers = cli.answers;
  CHECK(own.run({"pc", "listeners", "a.b"}) == 0);
  CHECK(own.run({"pc", "clusters", "a"}) == 1);
  CHECK(own.err.str() == "sockmeshctl: no clusters found\n");
}

}  // namespace sockmesh::ctl
