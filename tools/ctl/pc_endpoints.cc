#include <algorithm>
#include <tuple>
#include <vector>

#include "base/strings.h"
#include "ctl/pc_tables.h"
#include "ctl/table.h"

namespace sockmesh::ctl {

namespace {

struct Host {
  std::string address, port;  // port "" for pipes
  std::string status, cluster, locality;
  bool ejected = false;
  std::string text() const {
    if (port.empty()) return address;
    return (address.find(':') != std::string::npos ? "[" + address + "]" : address) + ":" + port;
  }
};

Host host_of(const Json& status, const std::string& cluster) {
  Host host{.cluster = cluster};
  const Json address = status.value("address", Json::object());
  if (address.contains("socketAddress")) {
    host.address = cell(address["socketAddress"], "address");
    host.port = cell(address["socketAddress"], "portValue");
  } else if (address.contains("pipe")) {
    host.address = "unix://" + cell(address["pipe"], "path");
  } else if (address.contains("envoyInternalAddress")) {
    const Json& internal = address["envoyInternalAddress"];
    host.address =
        fmt::format("envoy://{}/{}", cell(internal, "serverListenerName"), cell(internal, "endpointId"));
  }
  const Json health = status.value("healthStatus", Json::object());
  host.status = health.contains("edsHealthStatus") ? cell(health, "edsHealthStatus") : "UNKNOWN";
  host.ejected = health.value("failedOutlierCheck", false);
  const Json locality = status.value("locality", Json::object());
  std::vector<std::string> parts;
  for (const char* part : {"region", "zone", "subZone"})
    if (const std::string text = cell(locality, part); !text.empty()) parts.push_back(text);
  host.locality = join(parts, "/");
  return host;
}

std::vector<Host> sorted_hosts(const Json& statuses) {
  std::vector<Host> hosts;
  for (const Json& cluster : statuses)
    for (const Json& host : cluster.value("hostStatuses", Json::array()))
      hosts.push_back(host_of(host, cell(cluster, "name")));
  std::stable_sort(hosts.begin(), hosts.end(), [](const Host& a, const Host& b) {
    return std::tuple(a.address, parse_number<int>(a.port).value_or(0), a.cluster) <
           std::tuple(b.address, parse_number<int>(b.port).value_or(0), b.cluster);
  });
  return hosts;
}

}  // namespace

Json filtered_endpoints(const Json& statuses, const EndpointFilter& filter) {
  Json kept = Json::array();
  for (const Json& cluster : statuses) {
    if (!filter.cluster.empty() && !equals_ignore_case(cell(cluster, "name"), filter.cluster)) continue;
    Json hosts = Json::array();
    for (const Json& status : cluster.value("hostStatuses", Json::array())) {
      const Host host = host_of(status, "");
      if (!filter.address.empty() && !equals_ignore_case(host.address, filter.address)) continue;
      if (filter.port && host.port != std::to_string(*filter.port)) continue;
      if (!filter.status.empty() && !equals_ignore_case(host.status, filter.status)) continue;
      hosts.push_back(status);
    }
    if (hosts.empty()) continue;
    Json copy = cluster;
    copy["hostStatuses"] = std::move(hosts);
    kept.push_back(std::move(copy));
  }
  return kept;
}

std::string pc_endpoints_table(const Json& statuses) {
  Table table({"ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"});
  for (const Host& host : sorted_hosts(statuses))
    table.row({host.text(), host.status, host.ejected ? "FAILED" : "OK", host.cluster});
  return table.text();
}

std::string pc_eds_table(const Json& statuses) {
  Table table({"NAME", "STATUS", "LOCALITY", "CLUSTER"});
  for (const Host& host : sorted_hosts(statuses))
    table.row({"endpoint/" + host.text(), host.status, host.locality, host.cluster});
  return table.text();
}

}  // namespace sockmesh::ctl
