// sockmeshctl lanes: which ways bytes may take, and the switches for the kernel's (splice and direct,
// on|off).
#include "ctl/commands.h"
#include "ctl/status.h"
#include "ctl/subject.h"

namespace sockmesh::ctl {

namespace {

struct LanesOptions {
  std::string output = "text";
};

Result<int> run_lanes(Context& context, const LanesOptions& options) {
  SOCKMESH_TRY(status, get(context, "/v1/status"));
  context.world.out << (options.output == "json" ? json_text(status["lanes"]) : lanes_table(status["lanes"]));
  return kOk;
}

struct SwitchOptions {
  std::string state;
};

Result<int> switch_lane(Context& context, const SwitchOptions& options, const char* path, const char* on,
                        const char* off) {
  const bool enable = options.state == "on";
  SOCKMESH_TRY(done, post(context, fmt::format("/v1/{}?enabled={}", path, enable)));
  context.world.out << (enable ? on : off) << "\n";
  return kOk;
}

Result<int> run_splice(Context& context, const SwitchOptions& options) {
  return switch_lane(context, options, "splice", "kernel lanes on: flows are spliced again",
                     "kernel lanes off: every flow goes through user space");
}

Result<int> run_direct(Context& context, const SwitchOptions& options) {
  return switch_lane(context, options, "direct", "direct lane on: new connections go to their endpoints",
                     "direct lane off: new connections go through the proxy, open ones go on");
}

void declare_switch(CLI::App& app, Context& context, const char* name, const char* about,
                    Result<int> (*run)(Context&, const SwitchOptions&)) {
  CLI::App* command = app.add_subcommand(name, about);
  auto options = std::make_shared<SwitchOptions>();
  command->add_option("state", options->state, "on or off")
      ->required()
      ->check(CLI::IsMember({"on", "off"}))
      ->type_name("on|off");
  runs(*command, context, options, run);
}

}  // namespace

void declare_lanes(CLI::App& app, Context& context) {
  auto options = std::make_shared<LanesOptions>();
  add_output(app, options->output, {"text", "json"});
  declare_switch(app, context, "splice", "switch the kernel lanes on or off, at run time", run_splice);
  declare_switch(app, context, "direct", "switch the direct lane on or off, at run time", run_direct);
  app.callback([&app, &context, options] {
    if (app.get_subcommands().empty()) context.finish(run_lanes(context, *options));
  });
}

}  // namespace sockmesh::ctl
