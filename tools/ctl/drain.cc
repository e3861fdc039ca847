// sockmeshctl drain: the agent takes no new connections, open ones go on until they end or its drain time is
// up.
#include "ctl/commands.h"
#include "ctl/subject.h"

namespace sockmesh::ctl {

namespace {

struct DrainOptions {
  bool inbound_only = false;
};

Result<int> run_drain(Context& context, const DrainOptions& options) {
  SOCKMESH_TRY(done, post(context, options.inbound_only ? "/v1/drain?inboundonly" : "/v1/drain"));
  context.world.out << (options.inbound_only ? "draining inbound\n"
                                             : "draining: not ready any more, open connections go on\n");
  return kOk;
}

}  // namespace

void declare_drain(CLI::App& app, Context& context) {
  auto options = std::make_shared<DrainOptions>();
  app.add_flag("--inbound-only", options->inbound_only, "outbound is not concerned");
  runs(app, context, options, run_drain);
}

}  // namespace sockmesh::ctl
