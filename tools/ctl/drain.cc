// sockmeshctl drain: the agent is not ready any more and takes no new connections, after its drain time or at
// once; open ones go on.
#include "base/strings.h"
#include "ctl/commands.h"
#include "ctl/subject.h"

namespace sockmesh::ctl {

namespace {

struct DrainOptions {
  bool inbound_only = false, now = false;
};

Result<int> run_drain(Context& context, const DrainOptions& options) {
  std::vector<std::string> query;
  if (options.inbound_only) query.emplace_back("inboundonly");
  if (!options.now) query.emplace_back("graceful");
  SOCKMESH_TRY(done, post(context, "/v1/drain" + (query.empty() ? "" : "?" + join(query, "&"))));
  context.world.out << fmt::format("draining: not ready any more, no new {}connections {}; open ones go on\n",
                                   options.inbound_only ? "inbound " : "",
                                   options.now ? "from now on" : "once the drain time is over");
  return kOk;
}

}  // namespace

void declare_drain(CLI::App& app, Context& context) {
  auto options = std::make_shared<DrainOptions>();
  app.add_flag("--inbound-only", options->inbound_only, "connections that the pod opens are still taken");
  app.add_flag("--now", options->now, "take no new connections from now on, not only after the drain time");
  runs(app, context, options, run_drain);
}

}  // namespace sockmesh::ctl
