// Short ways to write filter chains and listeners in the tests of the lookup.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/match.h"

namespace sockmesh::model {

inline FilterChain to(std::string cluster, FilterChainMatch match = {}) {
  FilterChain chain;
  chain.name = cluster;
  chain.route.clusters = {{cluster, 0}};
  chain.route.stat_prefix = std::move(cluster);
  chain.match = std::move(match);
  return chain;
}

inline FilterChainMatch in(const std::vector<std::string>& prefixes,
                           std::vector<std::string> server_names = {}) {
  FilterChainMatch match;
  for (const std::string& text : prefixes) match.prefix_ranges.push_back(Prefix::parse(text).value());
  match.server_names = std::move(server_names);
  return match;
}

inline FilterChainMatch sni(std::vector<std::string> names) { return in({}, std::move(names)); }

inline std::shared_ptr<Listener> listener(std::string name, const std::vector<std::string>& addresses,
                                          std::vector<FilterChain> chains) {
  auto made = std::make_shared<Listener>();
  made->name = std::move(name);
  for (const std::string& address : addresses)
    made->addresses.push_back(SocketAddress::parse(address).value());
  made->chains = std::move(chains);
  return made;
}

inline ConnectionInfo dial(const std::string& address) {
  ConnectionInfo connection;
  connection.destination = SocketAddress::parse(address).value();
  return connection;
}

inline ConnectionInfo dial(const std::string& address, TlsHello hello) {
  ConnectionInfo connection = dial(address);
  connection.hello = std::move(hello);
  return connection;
}

// The cluster that takes the connection, "NR", or "?" when the first bytes are needed.
inline std::string cluster_of(const Snapshot& snapshot, const ConnectionInfo& connection) {
  const Decision decision = match(snapshot, connection);
  if (decision.needs_inspection) return "?";
  return decision.chain ? decision.chain->route.clusters.front().cluster : "NR";
}

}  // namespace sockmesh::model
