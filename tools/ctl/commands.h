// The commands' declarations, each defined in the file of its name.
#pragma once

#include "ctl/command.h"

namespace sockmesh::ctl {

void declare_flows(CLI::App& app, Context& context);
void declare_listeners(CLI::App& app, Context& context);
void declare_clusters(CLI::App& app, Context& context);
void declare_endpoints(CLI::App& app, Context& context);
void declare_explain(CLI::App& app, Context& context);
void declare_status(CLI::App& app, Context& context);
void declare_lanes(CLI::App& app, Context& context);
void declare_log(CLI::App& app, Context& context);
void declare_drain(CLI::App& app, Context& context);
void declare_proxy_config(CLI::App& app, Context& context);
void declare_analyze(CLI::App& app, Context& context);
void declare_apply(CLI::App& app, Context& context);

}  // namespace sockmesh::ctl
