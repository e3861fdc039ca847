// Every table and text, as a person sees it.
#include "cli_fixture.h"

namespace sockmesh::ctl {

namespace {

struct Agent : Cli {
  Agent() {
    serve("/v1/flows", "flows.json");
    serve("/v1/listeners", "listeners.json");
    serve("/v1/clusters", "clusters.json");
    serve("/v1/endpoints", "endpoints.json");
    serve("/v1/status", "status.json");
    serve("/v1/explain?destination=10.12.1.6%3A5701&direction=outbound", "explain.json");
    serve("/v1/explain?flow=281474976710657", "explain-flow.json");
    serve("/config_dump?include_eds", "config_dump.json");
    serve("/clusters?format=json", "cluster_statuses.json");
  }
};

void check(const std::string& name, std::vector<std::string> arguments) {
  Agent agent;
  INFO(name);
  CHECK(agent.run(std::move(arguments)) == 0);
  CHECK(agent.err.str().empty());
  check_output(name, agent.out.str());
}

}  // namespace

TEST_CASE("flows") {
  check("flows", {"flows"});
  check("flows-wide", {"flows", "-o", "wide"});
  check("flows-json", {"flows", "-o", "json", "--direction", "outbound"});
  check("flows-half-closed", {"flows", "--half-closed"});
  check("flows-none", {"flows", "--cluster", "nowhere"});
}

TEST_CASE("listeners, clusters, endpoints") {
  check("listeners", {"listeners"});
  check("listeners-port", {"listeners", "--port", "5701"});
  check("listeners-address", {"listeners", "--address", "fd00:96::a", "--direction", "outbound"});
  check("clusters", {"clusters"});
  check("clusters-name", {"clusters", "--name", "echo", "-o", "json"});
  check("endpoints", {"endpoints"});
  check("endpoints-cluster", {"endpoints", "--cluster", "|v1|"});
}

TEST_CASE("status and lanes") {
  check("status", {"status"});
  check("lanes", {"lanes"});
  Agent empty;
  empty.serve("/v1/status", "status-empty.json");
  CHECK(empty.run({"status"}) == 0);
  check_output("status-empty", empty.out.str());
}

TEST_CASE("explain an address, and an open flow") {
  check("explain", {"explain", "10.12.1.6:5701"});
  check("explain-flow", {"explain", "281474976710657"});
  check("explain-json", {"explain", "10.12.1.6:5701", "-o", "json"});
}

TEST_CASE("proxy-config prints what istioctl prints") {
  check("pc-clusters", {"proxy-config", "clusters"});
  check("pc-clusters-subset", {"pc", "cluster", "--fqdn", "echo.default", "--subset", "v1", "-o", "json"});
  check("pc-clusters-yaml",
        {"pc", "c", "client-0.default", "--port", "9000", "--subset", "v2", "-o", "yaml"});
  check("pc-listeners", {"pc", "listeners"});
  check("pc-listeners-terse", {"pc", "l", "--verbose=false"});
  check("pc-listeners-port", {"pc", "l", "--port", "15001"});
  check("pc-endpoints", {"pc", "endpoints"});
  check("pc-endpoints-status", {"pc", "ep", "--status", "unhealthy", "--cluster",
                                "outbound|9000|v1|echo.default.svc.cluster.local"});
  check("pc-routes", {"pc", "routes"});
  check("pc-all", {"pc", "all", "--with-headers"});
}

TEST_CASE("proxy-config reads a dump from a file") {
  Cli cli;
  cli.agent_there = false;
  cli.files["dump.json"] = read_text(std::string(ADMIN_GOLDEN_DIR) + "/config_dump.json");
  CHECK(cli.run({"pc", "clusters", "-f", "dump.json"}) == 0);
  check_output("pc-clusters", cli.out.str());
  Cli endpoints;
  endpoints.files["dump.json"] = cli.files["dump.json"];
  CHECK(endpoints.run({"pc", "endpoints", "--file", "dump.json"}) == 0);
  check_output("pc-endpoints-from-dump", endpoints.out.str());
}

TEST_CASE("the help of every command") {
  Cli cli;
  CHECK(cli.run({"--help"}) == 0);
  check_output("help", cli.out.str());
  for (const char* command : {"flows", "listeners", "clusters", "endpoints", "explain", "status", "lanes",
                              "log", "drain", "proxy-config", "apply", "analyze"}) {
    Cli one;
    INFO(command);
    CHECK(one.run({command, "--help"}) == 0);
    CHECK(one.out.str().find("sockmeshctl") != std::string::npos);
  }
}

}  // namespace sockmesh::ctl
