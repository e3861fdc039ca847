// Status: what the agent is, what configuration it follows, which lanes it may use and why.
#include "admin/view_parts.h"
#include "model/findings.h"

namespace sockmesh::admin {

namespace {

Json config_view(const ConfigStatus& config, const model::Snapshot* snapshot) {
  return {{"source", config.source},
          {"location", text_or_null(config.location)},
          {"version", snapshot ? text_or_null(snapshot->version) : Json(nullptr)},
          {"generation", snapshot ? snapshot->generation : 0},
          {"loaded", snapshot ? Json(utc(config.loaded)) : Json(nullptr)},
          {"rejected", config.rejected},
          {"lastError", text_or_null(config.last_error)},
          {"problems", config.problems},
          {"refused", config.refused}};
}

Json identity_view(const AgentStatus& status, const model::Snapshot* snapshot) {
  Json ips = Json::array(), addresses = Json::array(), labels = Json::object();
  if (snapshot) {
    for (const IpAddress& ip : snapshot->self_ips) {
      const auto origin = status.address_origins.find(ip.to_string());
      ips.push_back(ip.to_string());
      addresses.push_back(
          {{"ip", ip.to_string()},
           {"from", origin == status.address_origins.end() ? Json(nullptr) : text_or_null(origin->second)}});
    }
    for (const auto& [key, value] : snapshot->self_labels) labels[key] = value;
  }
  return {{"role", status.role},
          {"pod", text_or_null(status.pod)},
          {"namespace", text_or_null(status.ns)},
          {"node", text_or_null(status.node)},
          {"clusterId", snapshot ? text_or_null(snapshot->self.cluster_id) : Json(nullptr)},
          {"ips", std::move(ips)},
          {"addresses", std::move(addresses)},
          {"labels", std::move(labels)},
          {"interception", text_or_null(status.interception)}};
}

Json lane_view(const LaneStatus& lane) {
  return {{"lane", to_string(lane.lane)},     {"available", lane.available},
          {"enabled", lane.enabled},          {"verdict", lane.verdict},
          {"flowsActive", lane.flows_active}, {"flowsTotal", lane.flows_total}};
}

Json counts_view(const AgentStatus& status, const model::Snapshot* snapshot) {
  uint64_t active = 0, total = 0, endpoints = 0;
  for (const WorkerStatus& worker : status.workers) {
    active += worker.connections_active;
    total += worker.connections_total;
  }
  if (snapshot)
    for (const auto& [name, cluster] : snapshot->clusters) endpoints += cluster->endpoints.size();
  return {{"connectionsActive", active},
          {"connectionsTotal", total},
          {"listeners", snapshot ? snapshot->listeners.size() : 0},
          {"clusters", snapshot ? snapshot->clusters.size() : 0},
          {"endpoints", endpoints}};
}

Json direct_view(const std::optional<DirectStatus>& direct) {
  if (!direct) return nullptr;
  Json connects = Json::array();
  for (const auto& [what, count] : direct->connects) connects.push_back({{"what", what}, {"count", count}});
  return {{"generation", direct->generation}, {"destinations", direct->destinations},
          {"prefixes", direct->prefixes},     {"routes", direct->routes},
          {"clusters", direct->clusters},     {"hosts", direct->hosts},
          {"mapBytesAtMost", direct->bytes},  {"connects", std::move(connects)}};
}

}  // namespace

Json status_view(const AgentStatus& status, const Readiness& readiness, const model::Snapshot* snapshot,
                 WallTime now) {
  Json lanes = Json::array(), workers = Json::array(), findings = Json::array();
  for (const LaneStatus& lane : status.lanes) lanes.push_back(lane_view(lane));
  for (const WorkerStatus& worker : status.workers)
    workers.push_back({{"index", worker.index},
                       {"backend", worker.backend},
                       {"connectionsActive", worker.connections_active},
                       {"connectionsTotal", worker.connections_total}});
  Json unbound = Json::array();
  for (const UnboundPort& port : status.unbound)
    unbound.push_back({{"listener", port.listener}, {"address", port.address}, {"error", port.error}});
  Json names = Json::array();
  for (const NameStatus& name : status.names) names.push_back(name_view(name));
  const auto add_findings = [&](const std::vector<model::Finding>& found) {
    for (const model::Finding& finding : found)
      findings.push_back({{"code", finding.code},
                          {"severity", std::string(model::to_string(finding.severity))},
                          {"text", finding.text},
                          {"object", object_view(finding.object)}});
  };
  if (snapshot) add_findings(snapshot->findings);
  add_findings(status.findings);
  return {{"version", status.version},
          {"pid", status.pid},
          {"started", utc(status.started)},
          {"uptimeSeconds", std::chrono::duration_cast<std::chrono::seconds>(now - status.started).count()},
          {"ready", readiness.ready},
          {"readyText", text_or_null(readiness.text)},
          {"draining", status.draining},
          {"identity", identity_view(status, snapshot)},
          {"config", config_view(status.config, snapshot)},
          {"dataPath",
           {{"mode", status.data_path}, {"spliceEnabled", !status.switched_off[model::Lane::kSkSkb]}}},
          {"unbound", std::move(unbound)},
          {"names", std::move(names)},
          {"lanes", std::move(lanes)},
          {"direct", direct_view(status.direct)},
          {"workers", std::move(workers)},
          {"counts", counts_view(status, snapshot)},
          {"findings", std::move(findings)}};
}

}  // namespace sockmesh::admin
