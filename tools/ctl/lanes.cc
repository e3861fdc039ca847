// sockmeshctl lanes: which ways bytes may take, and the switch for the kernel's (splice on|off).
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

struct SpliceOptions {
  std::string state;
};

Result<int> run_splice(Context& context, const SpliceOptions& options) {
  SOCKMESH_TRY(done,
               post(context, fmt::format("/v1/splice?enabled={}", options.state == "on" ? "true" : "false")));
  context.world.out << (options.state == "on" ? "kernel lanes on: flows are spliced again\n"
                                              : "kernel lanes off: every flow goes through user space\n");
  return kOk;
}

}  // namespace

void declare_lanes(CLI::App& app, Context& context) {
  auto options = std::make_shared<LanesOptions>();
  add_output(app, options->output, {"text", "json"});
  CLI::App* splice = app.add_subcommand("splice", "switch the kernel lanes on or off, at run time");
  auto splice_options = std::make_shared<SpliceOptions>();
  splice->add_option("state", splice_options->state, "on or off")
      ->required()
      ->check(CLI::IsMember({"on", "off"}))
      ->type_name("on|off");
  runs(*splice, context, splice_options, run_splice);
  app.callback([&app, &context, options] {
    if (app.get_subcommands().empty()) context.finish(run_lanes(context, *options));
  });
}

}  // namespace sockmesh::ctl
