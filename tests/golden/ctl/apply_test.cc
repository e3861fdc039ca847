// apply: what it says before it does anything, and what is then in the folder.
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli_fixture.h"
#include "config/compiler/compiler.h"
#include "ctl/folder_swap.h"
#include "ctl/subject.h"

namespace sockmesh::ctl {

namespace {

namespace fs = std::filesystem;

const std::string kMesh = std::string(GOLDEN_DIR) + "/mesh", kWanted = std::string(GOLDEN_DIR) + "/wanted";

class Scratch {
 public:
  Scratch() {
    std::string pattern = (fs::temp_directory_path() / "sockmesh-apply-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()));
    path_ = pattern;
  }
  ~Scratch() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string version_of(const std::string& folder) {
  config::ProxyIdentity identity;
  identity.pod = "client";
  identity.ns = "default";
  return config::compile(read_folder(folder).value().resources, identity)->version;
}

// An agent of pod client.default that follows `folder`, with one flow to v2.
struct Following : Cli {
  explicit Following(const std::string& folder) : folder_(folder) {
    report(version_of(folder));
    answers["GET /v1/flows"] = {
        200, R"({"total":1,"flows":[{"id":7,"direction":"outbound","downstream":"10.1.0.9:4000",
      "originalDestination":"10.96.0.10:9000","upstream":"10.1.0.6:9000","listener":"10.96.0.10_9000",
      "cluster":"outbound|9000|v2|echo.default.svc.cluster.local","serverName":null}]})"};
  }
  void report(const std::string& version) {
    const nlohmann::json status = {
        {"config", {{"source", "folder"}, {"location", folder_}, {"version", version}}},
        {"identity",
         {{"role", "sidecar"},
          {"pod", "client"},
          {"namespace", "default"},
          {"ips", {"10.1.0.9"}},
          {"labels", {{"app", "client"}}}}}};
    answers["GET /v1/status"] = {200, status.dump()};
  }
  std::string folder_;
};

}  // namespace

TEST_CASE("apply --plan tells the difference and which open flows it concerns, and changes nothing") {
  const Scratch scratch;
  fs::copy(kMesh, scratch / "config", fs::copy_options::recursive);
  Following agent(scratch / "config");
  CHECK(agent.run({"apply", "--plan", kWanted}) == 3);
  CHECK(agent.err.str().empty());
  check_output("apply-plan", agent.out.str());
  CHECK(read_text(scratch / "config/routes.yaml") == read_text(kMesh + "/routes.yaml"));
}

TEST_CASE("apply --plan of the same content touches nothing") {
  Following agent(kMesh);
  CHECK(agent.run({"apply", "--plan", kMesh}) == 0);
  check_output("apply-plan-empty", agent.out.str());
}

TEST_CASE("apply --plan offline, as JSON") {
  Cli cli;
  CHECK(cli.run({"apply", "--plan", kWanted, "--config", kMesh, "--pod", "client.default", "-o", "json"}) ==
        0);
  const auto plan = nlohmann::json::parse(cli.out.str());
  CHECK(plan["empty"] == false);
  CHECK(plan["flowsSeen"] == 0);
  CHECK(plan["routes"].size() == 1);
}

TEST_CASE("apply replaces the folder in one step and waits for the agent to follow") {
  const Scratch scratch;
  fs::copy(kMesh, scratch / "config", fs::copy_options::recursive);
  std::ofstream(scratch / "config/obsolete.yaml") << "# goes\n";
  Following agent(scratch / "config");
  agent.report(version_of(kWanted));  // as if it had followed at once
  CHECK(agent.run({"apply", kWanted}) == 0);
  CHECK(read_text(scratch / "config/routes.yaml") == read_text(kWanted + "/routes.yaml"));
  CHECK_FALSE(fs::exists(scratch / "config/obsolete.yaml"));
  CHECK(std::distance(fs::directory_iterator(scratch / ""), {}) == 1);  // no copies left beside it
}

TEST_CASE("apply refuses manifests that do not say what they mean to") {
  const Scratch scratch;
  fs::copy(kMesh, scratch / "config", fs::copy_options::recursive);
  fs::create_directory(scratch / "broken");
  std::ofstream(scratch / "broken/a.yaml")
      << "kind: Service\napiVersion: v1\nmetadata: {name: a, namespace: b}\n"
         "spec:\n  ports:\n  - port: many\n";
  Following agent(scratch / "config");
  CHECK(agent.run({"apply", scratch / "broken"}) == 65);
  CHECK(agent.err.str().find("a.yaml:6") != std::string::npos);
  CHECK(fs::exists(scratch / "config/echo.yaml"));
}

TEST_CASE("replace_folder leaves everything as it was when it cannot") {
  const Scratch scratch;
  fs::create_directory(scratch / "config");
  CHECK(replace_folder(scratch / "config", scratch / "missing").error().message.find("missing") !=
        std::string::npos);
  CHECK(replace_folder(scratch / "config", scratch / "config").error().message.find("in force already") !=
        std::string::npos);
  CHECK(fs::is_empty(scratch / "config"));
}

}  // namespace sockmesh::ctl
