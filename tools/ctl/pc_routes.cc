#include <vector>

#include "base/strings.h"
#include "ctl/pc_tables.h"
#include "ctl/table.h"

namespace sockmesh::ctl {

namespace {

std::string addresses_text(const Json& listener) {
  std::vector<std::string> addresses;
  const auto add = [&](const Json& holder) {
    const Json socket = holder.value("address", Json::object()).value("socketAddress", Json::object());
    const std::string ip = cell(socket, "address"), port = cell(socket, "portValue");
    if (ip == "0.0.0.0" || ip == "::")
      addresses.push_back("*:" + port);
    else
      addresses.push_back((ip.find(':') != std::string::npos ? "[" + ip + "]" : ip) + ":" + port);
  };
  add(listener);
  for (const Json& additional : listener.value("additionalAddresses", Json::array())) add(additional);
  return join(addresses, ", ");
}

Json tcp_proxy_of(const Json& chain) {
  for (const Json& filter : chain.value("filters", Json::array()))
    if (cell(filter, "name").ends_with("tcp_proxy")) return filter.value("typedConfig", Json::object());
  return nullptr;
}

// The destinations: "outbound|9000|v1|echo… (80%)"; one without a share when it takes all.
std::vector<std::string> destinations_of(const Json& tcp_proxy) {
  if (!tcp_proxy.contains("weightedClusters")) return {cell(tcp_proxy, "cluster")};
  const Json parts = tcp_proxy["weightedClusters"].value("clusters", Json::array());
  uint64_t sum = 0;
  for (const Json& part : parts) sum += part.value("weight", uint64_t{0});
  std::vector<std::string> texts;
  for (const Json& part : parts) {
    const auto weight = static_cast<double>(part.value("weight", uint64_t{0}));
    texts.push_back(
        fmt::format("{} ({:.4g}%)", cell(part, "name"), sum ? weight * 100 / static_cast<double>(sum) : 0));
  }
  return texts;
}

}  // namespace

Json routes_of(const Json& listeners, const std::string& name) {
  Json routes = Json::array();
  for (const Json& listener : listeners) {
    if (!name.empty() && cell(listener, "name") != name) continue;
    Json chains = listener.value("filterChains", Json::array());
    if (listener.contains("defaultFilterChain")) chains.push_back(listener["defaultFilterChain"]);
    for (const Json& chain : chains) {
      Json tcp_proxy = tcp_proxy_of(chain);
      if (tcp_proxy.is_null()) continue;
      routes.push_back({{"name", cell(listener, "name")},
                        {"filterChain", cell(chain, "name")},
                        {"domains", addresses_text(listener)},
                        {"match", chain_match_text(chain)},
                        {"virtualService", istio_config_text(chain, "virtual-service")},
                        {"tcpProxy", std::move(tcp_proxy)}});
    }
  }
  return routes;
}

std::string pc_routes_table(const Json& routes, bool verbose, bool names) {
  Table table(verbose ? std::vector<std::string>{"NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"}
                      : std::vector<std::string>{"NAME", "VIRTUAL HOSTS"});
  for (const Json& route : routes) {
    const std::string name = (names ? "route/" : "") + cell(route, "name");
    const auto destinations = destinations_of(route["tcpProxy"]);
    if (!verbose) {
      table.row({name, std::to_string(destinations.size())});
      continue;
    }
    for (const std::string& destination : destinations)
      table.row(
          {name, destination, cell(route, "domains"), cell(route, "match"), cell(route, "virtualService")});
  }
  return table.text();
}

}  // namespace sockmesh::ctl
