#include <algorithm>
#include <tuple>
#include <vector>

#include "base/strings.h"
#include "ctl/pc_tables.h"
#include "ctl/table.h"

namespace sockmesh::ctl {

namespace {

constexpr const char* kBlackHole = "BlackHoleCluster";
constexpr const char* kNothing = "Non-HTTP/Non-TCP";  // istioctl's word for "closes the connection"

std::vector<std::string> addresses_of(const Json& listener) {
  std::vector<std::string> addresses;
  const auto add = [&](const Json& holder) {
    const Json address = holder.value("address", Json::object());
    if (address.contains("socketAddress")) addresses.push_back(cell(address["socketAddress"], "address"));
    if (address.contains("pipe")) addresses.push_back(cell(address["pipe"], "path"));
  };
  add(listener);
  for (const Json& additional : listener.value("additionalAddresses", Json::array())) add(additional);
  return addresses;
}

uint64_t port_of(const Json& listener) {
  return listener.value("address", Json::object())
      .value("socketAddress", Json::object())
      .value("portValue", uint64_t{0});
}

std::vector<Json> chains_of(const Json& listener) {
  std::vector<Json> chains;
  for (const Json& chain : listener.value("filterChains", Json::array())) chains.push_back(chain);
  if (listener.contains("defaultFilterChain")) chains.push_back(listener["defaultFilterChain"]);
  return chains;
}

// The last word of a filter's name: "tcp_proxy", "http_connection_manager".
bool is_filter(const Json& filter, const char* kind) { return cell(filter, "name").ends_with(kind); }

std::string http_destination(const Json& config) {
  if (config.contains("rds")) return "Route: " + cell(config["rds"], "routeConfigName");
  std::vector<std::string> hosts;
  for (const Json& host : config.value("routeConfig", Json::object()).value("virtualHosts", Json::array()))
    hosts.push_back(cell(host, "name"));
  return "Inline Route: " + join(hosts, ", ");
}

// istioctl shows nothing for weights; the parts with their shares are what one wants to see.
std::string weighted_text(const Json& weighted) {
  uint64_t sum = 0;
  const Json parts = weighted.value("clusters", Json::array());
  for (const Json& part : parts) sum += part.value("weight", uint64_t{0});
  std::vector<std::string> texts;
  for (const Json& part : parts) {
    const auto weight = static_cast<double>(part.value("weight", uint64_t{0}));
    texts.push_back(
        fmt::format("{} ({:.4g}%)", cell(part, "name"), sum ? weight * 100 / static_cast<double>(sum) : 0));
  }
  return join(texts, ", ");
}

std::string type_of(const Json& listener) {
  bool http = false, tcp = false;
  for (const Json& chain : chains_of(listener)) {
    for (const Json& filter : chain.value("filters", Json::array())) {
      if (is_filter(filter, "http_connection_manager")) http = true;
      if (is_filter(filter, "tcp_proxy") && filter.dump().find(kBlackHole) == std::string::npos) tcp = true;
    }
  }
  if (http && tcp) return "HTTP+TCP";
  return http ? "HTTP" : tcp ? "TCP" : "UNKNOWN";
}

}  // namespace

std::string chain_match_text(const Json& chain) {
  const Json match = chain.value("filterChainMatch", Json::object());
  const auto joined = [&](const char* key) {
    std::string text;
    for (const Json& item : match.value(key, Json::array()))
      text += (text.empty() ? "" : ",") + item.get<std::string>();
    return text;
  };
  std::vector<std::string> parts;
  if (const std::string names = joined("serverNames"); !names.empty()) parts.push_back("SNI: " + names);
  if (const std::string transport = cell(match, "transportProtocol"); !transport.empty())
    parts.push_back("Trans: " + transport);
  if (std::string applications = joined("applicationProtocols"); !applications.empty()) {
    // istioctl's names for the lists that Istio itself generates.
    if (applications == "http/1.0,http/1.1,h2c") applications = "HTTP";
    if (applications == "istio-http/1.0,istio-http/1.1,istio-h2") applications = "HTTP TLS";
    if (applications == "istio-peer-exchange,istio") applications = "TCP TLS";
    parts.push_back("App: " + applications);
  }
  const std::string port = match.contains("destinationPort") ? ":" + cell(match, "destinationPort") : "";
  std::string ranges;
  for (const Json& range : match.value("prefixRanges", Json::array()))
    ranges += (ranges.empty() ? "" : ",") + cell(range, "addressPrefix") + "/" + cell(range, "prefixLen");
  if (!ranges.empty()) parts.push_back("Addr: " + ranges + port);
  if (ranges.empty() && !port.empty()) parts.push_back("Addr: *" + port);
  return parts.empty() ? "ALL" : join(parts, "; ");
}

std::string chain_destination_text(const Json& chain) {
  for (const Json& filter : chain.value("filters", Json::array())) {
    const Json config = filter.value("typedConfig", Json::object());
    if (is_filter(filter, "http_connection_manager")) return http_destination(config);
    if (!is_filter(filter, "tcp_proxy") || config.dump().find(kBlackHole) != std::string::npos) continue;
    if (config.contains("weightedClusters")) return "Cluster: " + weighted_text(config["weightedClusters"]);
    const std::string cluster = cell(config, "cluster");
    return cluster.find("Cluster") != std::string::npos ? cluster : "Cluster: " + cluster;
  }
  return kNothing;
}

Json filtered_listeners(const Json& listeners, const ListenerFilter& filter) {
  Json kept = Json::array();
  for (const Json& listener : listeners) {
    const auto addresses = addresses_of(listener);
    const bool here = filter.address.empty() ||
                      std::any_of(addresses.begin(), addresses.end(),
                                  [&](const auto& a) { return equals_ignore_case(a, filter.address); });
    if (!here || (filter.port && port_of(listener) != *filter.port)) continue;
    if (!filter.type.empty() && !equals_ignore_case(type_of(listener), filter.type)) continue;
    kept.push_back(listener);
  }
  return kept;
}

std::string pc_listeners_table(const Json& listeners, bool verbose, bool names) {
  std::vector<const Json*> sorted;
  for (const Json& listener : listeners) sorted.push_back(&listener);
  const auto key = [](const Json& listener) {
    return std::tuple(port_of(listener), join(addresses_of(listener), ","), type_of(listener));
  };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const Json* a, const Json* b) { return key(*a) < key(*b); });

  std::vector<std::string> header =
      verbose ? std::vector<std::string>{"ADDRESSES", "PORT", "MATCH", "DESTINATION"}
              : std::vector<std::string>{"ADDRESSES", "PORT", "TYPE"};
  if (names) header.insert(header.begin(), "NAME");
  Table table(std::move(header));
  for (const Json* listener : sorted) {
    const auto add = [&](std::vector<std::string> cells) {
      cells.insert(cells.begin(), {join(addresses_of(*listener), ","), std::to_string(port_of(*listener))});
      if (names) cells.insert(cells.begin(), "listener/" + cell(*listener, "name"));
      table.row(std::move(cells));
    };
    if (!verbose) {
      add({type_of(*listener)});
      continue;
    }
    std::vector<std::pair<std::string, std::string>> chains;  // destination, match
    for (const Json& chain : chains_of(*listener))
      chains.emplace_back(chain_destination_text(chain), chain_match_text(chain));
    std::stable_sort(chains.begin(), chains.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    for (const auto& [destination, match] : chains) add({match, destination});
  }
  return table.text();
}

}  // namespace sockmesh::ctl
