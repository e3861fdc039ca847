#include "ctl/cli.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ctl/command.h"

namespace sockmesh::ctl {

void add_output(CLI::App& app, std::string& output, std::vector<std::string> formats) {
  std::string help = "output format:";
  for (const std::string& format : formats) help += " " + format;
  app.add_option("-o,--output", output, help)->check(CLI::IsMember(std::move(formats)))->type_name("FORMAT");
}

int run(std::vector<std::string> arguments, World& world) {
  Context context{.world = world, .run_dir = world.env("SOCKMESH_RUN_DIR"), .status = kOk, .error = {}};
  if (context.run_dir.empty()) context.run_dir = "/run/sockmesh";

  CLI::App app(
      "Reads and changes a running sockmesh agent; explains and analyzes a folder of manifests offline.",
      "sockmeshctl");
  app.add_option("--run-dir", context.run_dir, "run directory of the agent [SOCKMESH_RUN_DIR, /run/sockmesh]")
      ->type_name("DIR");
  app.require_subcommand(1);
  app.fallthrough();  // --run-dir may stand behind the command too
  app.set_version_flag("--version", SOCKMESH_VERSION);
  for (const Command& command : commands()) {
    CLI::App* sub = app.add_subcommand(command.name, command.help);
    for (const std::string& alias : command.aliases) sub->alias(alias);
    command.declare(*sub, context);
  }

  try {
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    app.parse(std::move(arguments));
  } catch (const CLI::Success& help) {  // --help, --version
    app.exit(help, world.out, world.err);
    return kOk;
  } catch (const CLI::ParseError& problem) {
    world.err << "sockmeshctl: " << problem.what() << "\nRun with --help for what is expected.\n";
    return kUsage;
  } catch (const nlohmann::json::exception& problem) {  // a dump from elsewhere, an agent of another version
    world.err << "sockmeshctl: what was read does not have the documented shape: " << problem.what() << "\n";
    return kFailed;
  }
  if (!context.error.empty()) world.err << "sockmeshctl: " << context.error << "\n";
  return context.status;
}

}  // namespace sockmesh::ctl
