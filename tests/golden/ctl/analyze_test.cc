// analyze: istioctl's lines, flags and exit statuses. What is found is tested with config; here is what is
// done with it.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli_fixture.h"

namespace sockmesh::ctl {

namespace {

// A route to a subset that does not exist (Error), a port name without protocol (Info).
constexpr char kMistakes[] = R"(apiVersion: v1
kind: Service
metadata: {name: db, namespace: data}
spec:
  clusterIP: 10.96.0.20
  ports:
  - {name: sql, port: 5432}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db, namespace: data}
spec:
  hosts: [db]
  tcp:
  - route:
    - destination: {host: db, subset: gone}
)";

struct Analysis : Cli {
  Analysis() {
    agent_there = false;
    files["mistakes.yaml"] = kMistakes;
    files["-"] = kMistakes;
    files["broken.yaml"] = "a: [\n";
  }
  std::vector<std::string> codes(std::vector<std::string> more) {
    std::vector<std::string> arguments = {"analyze", "mistakes.yaml", "-o", "json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    CHECK(run(arguments) == 0);
    std::vector<std::string> found;
    for (const auto& finding : nlohmann::json::parse(out.str())) found.push_back(finding["code"]);
    return found;
  }
};

bool has(const std::vector<std::string>& codes, const std::string& code) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

}  // namespace

TEST_CASE("findings as lines; 79 when one reaches the failure threshold") {
  Analysis analysis;
  CHECK(analysis.run({"analyze", "mistakes.yaml"}) == 79);
  check_output("analyze", analysis.out.str());
  CHECK(analysis.err.str() == "Error: Analyzers found issues when analyzing mistakes.yaml.\n");
  Analysis input;
  CHECK(input.run({"analyze", "-"}) == 79);
}

TEST_CASE("findings as JSON have istioctl's fields; the exit status is 0") {
  Analysis analysis;
  CHECK(analysis.run({"analyze", "mistakes.yaml", "-o", "json"}) == 0);
  check_output("analyze-json", analysis.out.str());
  Analysis yaml;
  CHECK(yaml.run({"analyze", "mistakes.yaml", "-o", "yaml"}) == 0);
  check_output("analyze-yaml", yaml.out.str());
}

TEST_CASE("thresholds, suppression, namespace") {
  CHECK(has(Analysis().codes({}), "IST0101"));
  CHECK(has(Analysis().codes({}), "IST0118"));
  CHECK_FALSE(has(Analysis().codes({"--output-threshold", "error"}), "IST0118"));
  CHECK_FALSE(has(Analysis().codes({"-S", "IST0101=VirtualService db.data"}), "IST0101"));
  CHECK(has(Analysis().codes({"-S", "IST0101=VirtualService other.*"}), "IST0101"));
  CHECK(Analysis().codes({"-n", "elsewhere"}).empty());
  CHECK(has(Analysis().codes({"-n", "elsewhere", "-A"}), "IST0101"));
}

TEST_CASE("nothing found is said on stderr") {
  Analysis analysis;
  CHECK(analysis.run({"analyze", std::string(GOLDEN_DIR) + "/none", "-n", "default"}) == 1);  // no such file
  Analysis clean;
  clean.files["clean.yaml"] = "";
  CHECK(clean.run({"analyze", "clean.yaml"}) == 0);
  CHECK(clean.out.str().empty());
  CHECK(clean.err.str() == "\u2714 No validation issues found when analyzing clean.yaml.\n");
}

TEST_CASE("an agent's folder is analyzed with what the agent finds in its pod") {
  Cli cli;
  const nlohmann::json status = {
      {"config", {{"source", "folder"}, {"location", GOLDEN_DIR "/mesh"}}},
      {"findings",
       {{{"code", "IST0143"},
         {"severity", "Error"},
         {"text", "Port 9000 is exposed in a Service but listens on localhost."},
         {"object",
          {{"kind", "Pod"}, {"name", "web-0"}, {"namespace", "shop"}, {"file", nullptr}, {"line", nullptr}}}},
        {{"code", "SM0101"}, {"severity", "Error"}, {"text", "of the configuration"}, {"object", nullptr}}}}};
  cli.answers["GET /v1/status"] = {200, status.dump()};
  for (const char* file : {"echo.yaml", "routes.yaml"})
    cli.files[std::string(GOLDEN_DIR "/mesh/") + file] = "";  // nothing to find in them
  CHECK(cli.run({"analyze"}) == 79);
  CHECK(cli.out.str() ==
        "Error [IST0143] (Pod web-0.shop) Port 9000 is exposed in a Service but listens on localhost.\n");
}

TEST_CASE("what is not YAML gives 65, whatever else was found") {
  Analysis analysis;
  CHECK(analysis.run({"analyze", "broken.yaml"}) == 65);
  CHECK(analysis.out.str().find("broken.yaml:") != std::string::npos);
}

TEST_CASE("the list of analyzers") {
  Analysis analysis;
  CHECK(analysis.run({"analyze", "--list-analyzers"}) == 0);
  CHECK(analysis.out.str().starts_with("* "));
}

TEST_CASE("the list of codes") {
  Analysis analysis;
  CHECK(analysis.run({"analyze", "--list-codes"}) == 0);
  CHECK(analysis.out.str().starts_with("CODE "));
  CHECK(analysis.out.str().find("\nSM0008 ") != std::string::npos);
}

}  // namespace sockmesh::ctl
