// What a command is: a name, a line of help, and a function that declares its flags and what running it does.
// Nouns read, verbs change. commands.cc lists them; each is declared in the file of its name.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ctl/world.h"

namespace sockmesh::ctl {

// Exit statuses, as README.md has them; 64, 65 and 79 are istioctl's.
inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;
inline constexpr int kTouchesFlows = 3;  // apply --plan: open flows would be routed otherwise
inline constexpr int kUsage = 64;
inline constexpr int kUnreadable = 65;  // analyze: manifests that are not YAML; apply: any that have problems
inline constexpr int kFindings = 79;    // analyze: something reached the failure threshold

struct Context {
  World& world;
  std::string run_dir;
  int status = kOk;
  std::string error;  // of the command that ran

  void finish(const Result<int>& result) {
    status = result ? *result : kFailed;
    if (!result) error = result.error().message;
  }
};

struct Command {
  const char* name;
  const char* help;
  void (*declare)(CLI::App& app, Context& context);
  std::vector<std::string> aliases = {};
};

const std::vector<Command>& commands();  // in the order of the help text

// Declares `app` to run `run(context, options)` after its flags were read into the options.
template <typename Options>
void runs(CLI::App& app, Context& context, std::shared_ptr<Options> options,
          Result<int> (*run)(Context&, const Options&)) {
  app.callback([&context, options = std::move(options), run] { context.finish(run(context, *options)); });
}

void add_output(CLI::App& app, std::string& output, std::vector<std::string> formats);  // -o, --output

}  // namespace sockmesh::ctl
