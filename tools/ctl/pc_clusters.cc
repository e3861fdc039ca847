#include <algorithm>
#include <tuple>

#include "base/strings.h"
#include "ctl/pc_tables.h"
#include "ctl/table.h"

namespace sockmesh::ctl {

namespace {

struct Name {  // "outbound|9000|v1|host", or anything else as the host alone
  std::string fqdn, port = "-", subset = "-", direction = "-";
};

Name parse_name(const std::string& name) {
  const auto parts = split(name, '|');
  if (parts.size() != 4) return {.fqdn = name};
  return {.fqdn = std::string(parts[3]),
          .port = std::string(parts[1]),
          .subset = parts[2].empty() ? "-" : std::string(parts[2]),
          .direction = std::string(parts[0])};
}

}  // namespace

std::string istio_config_text(const Json& object, const char* resource) {
  const Json istio = object.value("metadata", Json::object())
                         .value("filterMetadata", Json::object())
                         .value("istio", Json::object());
  // "/apis/networking.istio.io/v1/namespaces/NS/destination-rule/NAME"
  const std::string path = cell(istio, "config");
  const auto parts = split(path, '/');
  if (parts.size() < 3 || parts[parts.size() - 2] != resource) return {};
  return std::string(parts.back()) + "." + std::string(parts[parts.size() - 3]);
}

Json filtered_clusters(const Json& clusters, const ClusterFilter& filter) {
  Json kept = Json::array();
  for (const Json& cluster : clusters) {
    const std::string name = cell(cluster, "name");
    const auto holds = [&](const std::string& part) { return name.find(part) != std::string::npos; };
    if (!holds(filter.fqdn) || !holds(filter.direction) || !holds(filter.subset)) continue;
    if (filter.port && !holds("|" + std::to_string(*filter.port) + "|")) continue;
    kept.push_back(cluster);
  }
  return kept;
}

std::string pc_clusters_table(const Json& clusters, bool names) {
  std::vector<std::pair<Name, const Json*>> sorted;
  for (const Json& cluster : clusters) sorted.emplace_back(parse_name(cell(cluster, "name")), &cluster);
  const auto key = [](const Name& name) {
    return std::tuple(name.fqdn, name.subset, parse_number<int>(name.port).value_or(-1), name.direction);
  };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const auto& a, const auto& b) { return key(a.first) < key(b.first); });

  std::vector<std::string> header = {"SERVICE FQDN", "PORT", "SUBSET",
                                     "DIRECTION",    "TYPE", "DESTINATION RULE"};
  if (names) header.insert(header.begin(), "NAME");
  Table table(std::move(header));
  for (const auto& [name, cluster] : sorted) {
    std::vector<std::string> row = {name.fqdn,
                                    name.port,
                                    name.subset,
                                    name.direction,
                                    cell(*cluster, "type"),
                                    istio_config_text(*cluster, "destination-rule")};
    if (names) row.insert(row.begin(), "cluster/" + cell(*cluster, "name"));
    table.row(std::move(row));
  }
  return table.text();
}

}  // namespace sockmesh::ctl
