#include "ctl/commands.h"

namespace sockmesh::ctl {

const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
      {"flows", "open connections: where they go, by which lane, how many bytes", declare_flows},
      {"listeners", "what takes connections, and which object made it so", declare_listeners},
      {"clusters", "where connections may go", declare_clusters},
      {"endpoints", "the addresses behind the clusters, their health and load", declare_endpoints},
      {"explain", "why a connection goes where it goes, step by step", declare_explain},
      {"status", "version, configuration, lanes with their self-test, workers, findings", declare_status},
      {"lanes", "the lanes of the data path; `lanes splice on|off` switches", declare_lanes},
      {"log", "log levels of the running agent, shown or set", declare_log},
      {"drain", "let the agent finish: not ready any more, open connections go on", declare_drain},
      {"proxy-config",
       "listeners, clusters, endpoints, routes as istioctl prints them",
       declare_proxy_config,
       {"pc"}},
      {"analyze", "what is wrong or surprising in a set of manifests", declare_analyze},
      {"apply", "put a folder of manifests in force, or only say what that would change", declare_apply},
  };
  return table;
}

}  // namespace sockmesh::ctl
