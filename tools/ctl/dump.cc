#include "ctl/dump.h"

#include "admin/envoy_dump.h"

namespace sockmesh::ctl {

namespace {

std::string camel(const std::string& key) {
  std::string text;
  bool upper = false;
  for (const char c : key) {
    if (c == '_') {
      upper = true;
    } else {
      text += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
      upper = false;
    }
  }
  return text;
}

const Json* section(const Json& dump, const char* type) {
  const auto configs = dump.find("configs");
  if (configs == dump.end()) return nullptr;
  for (const Json& config : *configs)
    if (cell(config, "@type").ends_with(type)) return &config;
  return nullptr;
}

Json list_in(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || !found->is_array() ? Json::array() : *found;
}

void append(Json& list, Json item) {
  if (item.is_object()) list.push_back(std::move(item));
}

// From an EndpointsConfigDump, when no ClusterStatus says more: every endpoint with its assigned health.
Json statuses_of(const Json& endpoints_dump) {
  Json statuses = Json::array();
  for (const char* kind : {"staticEndpointConfigs", "dynamicEndpointConfigs"}) {
    for (const Json& config : list_in(endpoints_dump, kind)) {
      const Json assignment = config.value("endpointConfig", Json::object());
      Json hosts = Json::array();
      for (const Json& group : list_in(assignment, "endpoints")) {
        for (const Json& lb_endpoint : list_in(group, "lbEndpoints")) {
          hosts.push_back(
              {{"address", lb_endpoint.value("endpoint", Json::object()).value("address", Json::object())},
               {"healthStatus", {{"edsHealthStatus", lb_endpoint.value("healthStatus", "UNKNOWN")}}},
               {"weight", lb_endpoint.value("loadBalancingWeight", 1)},
               {"locality", group.value("locality", Json::object())}});
        }
      }
      statuses.push_back({{"name", cell(assignment, "clusterName")}, {"hostStatuses", std::move(hosts)}});
    }
  }
  return statuses;
}

Result<Json> json_file(const Context& context, const std::string& path) {
  SOCKMESH_TRY(text, context.world.read_file(path));
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return fail("{}: expected a config_dump or the output of clusters?format=json", path);
  return json;
}

}  // namespace

Json camel_keys(const Json& value) {
  if (value.is_array()) {
    Json list = Json::array();
    for (const Json& item : value) list.push_back(camel_keys(item));
    return list;
  }
  if (!value.is_object()) return value;
  Json object = Json::object();
  for (const auto& [key, member] : value.items())
    object[camel(key)] = key == "filter_metadata" || key == "filterMetadata" ? member : camel_keys(member);
  return object;
}

Dump parse_dump(const Json& config_dump, const Json& cluster_statuses) {
  Dump dump{.whole = camel_keys(config_dump),
            .bootstrap = Json::object(),
            .clusters = Json::array(),
            .listeners = Json::array(),
            .statuses = list_in(camel_keys(cluster_statuses), "clusterStatuses")};
  if (const Json* bootstrap = section(dump.whole, "BootstrapConfigDump"))
    dump.bootstrap = bootstrap->value("bootstrap", Json::object());
  if (const Json* clusters = section(dump.whole, "ClustersConfigDump"))
    for (const char* kind : {"staticClusters", "dynamicActiveClusters", "dynamicWarmingClusters"})
      for (const Json& item : list_in(*clusters, kind)) append(dump.clusters, item.value("cluster", Json()));
  if (const Json* listeners = section(dump.whole, "ListenersConfigDump")) {
    for (const Json& item : list_in(*listeners, "staticListeners"))
      append(dump.listeners, item.value("listener", Json()));
    for (const Json& item : list_in(*listeners, "dynamicListeners"))
      append(dump.listeners, item.value("activeState", Json::object()).value("listener", Json()));
  }
  if (dump.statuses.empty())
    if (const Json* endpoints = section(dump.whole, "EndpointsConfigDump"))
      dump.statuses = statuses_of(*endpoints);
  return dump;
}

Result<Dump> dump_of(const Context& context, const Subject& subject, const std::string& file) {
  if (!file.empty()) {
    SOCKMESH_TRY(json, json_file(context, file));
    return parse_dump(json, json);
  }
  if (!subject.offline()) {
    SOCKMESH_TRY(dump, get(context, "/config_dump?include_eds"));
    SOCKMESH_TRY(statuses, get(context, "/clusters?format=json"));
    return parse_dump(dump, statuses);
  }
  SOCKMESH_TRY(snapshot, compile_offline(context, subject));
  admin::AgentStatus status;
  status.role = subject.role;
  SOCKMESH_TRY(identity, identity_of(subject.pod, subject.role));
  status.pod = identity.pod;
  status.ns = identity.ns;
  return parse_dump(admin::config_dump(*snapshot, status, {.include_eds = true}),
                    admin::cluster_statuses(*snapshot, {}));
}

}  // namespace sockmesh::ctl
