// sockmeshctl in-process: a world whose agent answers with the golden JSON of tests/golden/admin, or with
// whatever a test puts there.
#pragma once

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "../golden.h"
#include "ctl/cli.h"

namespace sockmesh::ctl {

struct Cli {
  std::ostringstream out, err;
  std::map<std::string, HttpReply> answers;  // by "METHOD target"
  std::vector<std::string> asked;            // "METHOD target", in order
  std::map<std::string, std::string> files, environment;
  bool agent_there = true;
  int pauses_left = 0;

  // What the agent says, taken from the golden files of the admin views.
  void serve(const std::string& target, const std::string& golden_file) {
    answers["GET " + target] = {200, read_text(std::string(ADMIN_GOLDEN_DIR) + "/" + golden_file)};
  }

  int run(std::vector<std::string> arguments) {
    World world{
        .out = out,
        .err = err,
        .env = [this](const char* name) { return environment[name]; },
        .http = [this](const std::string& run_dir, const std::string& method,
                       const std::string& target) -> Result<HttpReply> {
          if (!agent_there) return fail("no agent at {}/admin.sock", run_dir);
          asked.push_back(method + " " + target);
          const auto answer = answers.find(method + " " + target);
          if (answer == answers.end()) return HttpReply{404, R"({"error":"no such path: )" + target + "\"}"};
          return answer->second;
        },
        .read_file = [this](const std::string& path) -> Result<std::string> {
          if (!files.count(path)) return fail("reading {}: no such file", path);
          return files[path];
        },
        .now = [] { return wall_now(); },
        .pause = [this](Duration) { return pauses_left-- > 0; },
    };
    return ctl::run(std::move(arguments), world);
  }
};

inline void check_output(const std::string& name, const std::string& text) {
  check_golden(std::string(GOLDEN_DIR) + "/" + name + ".txt", text);
}

}  // namespace sockmesh::ctl
