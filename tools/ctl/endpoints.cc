// sockmeshctl endpoints: the addresses behind the clusters, their health as the control plane and as the
// agent see it, and their load.
#include "ctl/endpoints.h"

#include "admin/views.h"
#include "ctl/commands.h"
#include "ctl/subject.h"
#include "ctl/table.h"

namespace sockmesh::ctl {

namespace {

struct EndpointsOptions {
  Subject subject;
  std::string output = "short", cluster, address;
};

// "healthy"; of a name also "stale 35s: Timeout while contacting DNS servers", "unresolved: Domain name not
// found".
std::string name_text(const Json& endpoint) {
  const Json& dns = endpoint.contains("dns") ? endpoint["dns"] : Json();
  if (!dns.is_object()) return cell(endpoint, "health");
  std::string text = cell(endpoint, "health");
  if (dns["answerAgeSeconds"].is_number() && cell(dns, "state") == "failing")
    text += " " + age_text(dns["answerAgeSeconds"].get<double>());
  if (const std::string error = cell(dns, "error"); !error.empty()) text += ": " + error;
  return text;
}

std::string health_text(const Json& endpoint) {
  const bool ejected = endpoint["ejected"].is_boolean() && endpoint["ejected"].get<bool>();
  return ejected ? name_text(endpoint) + ", ejected" : name_text(endpoint);
}

Json offline_view(const model::Snapshot& snapshot) { return admin::endpoints_view(snapshot, {}); }

Result<int> run_endpoints(Context& context, const EndpointsOptions& options) {
  SOCKMESH_TRY(view, view_of(context, options.subject, "/v1/endpoints", offline_view));
  Json kept = Json::array();
  for (Json& endpoint : view["endpoints"]) {
    if (cell(endpoint, "cluster").find(options.cluster) == std::string::npos) continue;
    if (cell(endpoint, "address").find(options.address) == std::string::npos) continue;
    kept.push_back(std::move(endpoint));
  }
  view["endpoints"] = std::move(kept);
  context.world.out << (options.output == "json" ? json_text(view) : endpoints_table(view["endpoints"]));
  return kOk;
}

}  // namespace

std::string endpoints_table(const Json& endpoints) {
  Table table(
      {"ENDPOINT", "HEALTH", "WEIGHT", "PRIORITY", "LOCALITY", "WORKLOAD", "OPEN", "FAILED", "CLUSTER"});
  for (const Json& endpoint : endpoints)
    table.row({cell(endpoint, "address"), health_text(endpoint), cell(endpoint, "weight"),
               cell(endpoint, "priority"), cell_or_dash(endpoint, "locality"),
               cell_or_dash(endpoint, "workload"), cell_or_dash(endpoint, "connectionsActive"),
               cell_or_dash(endpoint, "connectFailures"), cell(endpoint, "cluster")});
  return table.text();
}

void declare_endpoints(CLI::App& app, Context& context) {
  auto options = std::make_shared<EndpointsOptions>();
  add_output(app, options->output, {"short", "json"});
  add_subject(app, options->subject);
  app.add_option("--cluster", options->cluster, "only those whose cluster contains this text");
  app.add_option("--address", options->address, "only those whose address contains this text");
  runs(app, context, options, run_endpoints);
}

}  // namespace sockmesh::ctl
