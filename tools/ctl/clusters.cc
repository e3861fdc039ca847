// sockmeshctl clusters: where connections may go, and how a host is chosen there.
#include "admin/views.h"
#include "ctl/commands.h"
#include "ctl/subject.h"
#include "ctl/table.h"

namespace sockmesh::ctl {

namespace {

struct ClustersOptions {
  Subject subject;
  std::string output = "short", name, direction;
};

std::string clusters_table(const Json& view) {
  Table table({"CLUSTER", "DIRECTION", "TYPE", "LOAD BALANCER", "ENDPOINTS", "LIMIT", "BECAUSE OF",
               "DESTINATION RULE"});
  for (const Json& cluster : view["clusters"]) {
    const std::string healthy = cell(cluster, "healthyEndpoints"), all = cell(cluster, "endpoints");
    table.row({cell(cluster, "name"), cell(cluster, "direction"), cell(cluster, "type"),
               cell(cluster, "loadBalancer"), healthy == all ? all : healthy + " of " + all,
               cell_or_dash(cluster, "maxConnections"), object_text(cluster["object"]),
               object_text(cluster["destinationRule"])});
  }
  return table.text();
}

Result<int> run_clusters(Context& context, const ClustersOptions& options) {
  SOCKMESH_TRY(view, view_of(context, options.subject, "/v1/clusters", admin::clusters_view));
  Json kept = Json::array();
  for (Json& cluster : view["clusters"]) {
    const bool named = cell(cluster, "name").find(options.name) != std::string::npos;
    const bool directed = options.direction.empty() || cell(cluster, "direction") == options.direction;
    if (named && directed) kept.push_back(std::move(cluster));
  }
  view["clusters"] = std::move(kept);
  context.world.out << (options.output == "json" ? json_text(view) : clusters_table(view));
  return kOk;
}

}  // namespace

void declare_clusters(CLI::App& app, Context& context) {
  auto options = std::make_shared<ClustersOptions>();
  add_output(app, options->output, {"short", "json"});
  add_subject(app, options->subject);
  app.add_option("--name", options->name, "only those whose name contains this text");
  app.add_option("--direction", options->direction, "only these: inbound or outbound")
      ->check(CLI::IsMember({"inbound", "outbound"}));
  runs(app, context, options, run_clusters);
}

}  // namespace sockmesh::ctl
