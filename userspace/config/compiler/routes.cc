#include "config/compiler/routes.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "config/compiler/clusters.h"
#include "config/resources/hostnames.h"

namespace sockmesh::config {

namespace {

using model::FilterChain;
using model::Route;

// What is settled when the configuration is made; subnets and SNI are left for the connection.
bool applies(const L4Match& match, const Self& self, uint16_t port) {
  const bool here = match.gateways.empty() ||
                    std::find(match.gateways.begin(), match.gateways.end(), "mesh") != match.gateways.end();
  return here && (match.port == 0 || match.port == port) &&
         labels_contain(self.labels, match.source_labels) &&
         (match.source_namespace.empty() || match.source_namespace == self.ns);
}

// Listener-side settings come from the rule of the first destination's host, from its top level.
void apply_rule(const ProxyView& view, const Scope::Host& host, const std::string& subset, bool alone,
                Route& route) {
  const MergedRule* rule = view.rule_for(host);
  const TrafficPolicy* policy = rule && *rule->policy ? &**rule->policy : nullptr;
  const TrafficPolicy::ConnectionPool* pool = nullptr;
  if (policy && policy->connection_pool) {
    pool = &*policy->connection_pool;
  } else if (const auto& floor = view.mesh.config->default_traffic_policy; floor && floor->connection_pool) {
    pool = &*floor->connection_pool;
  }
  if (pool) {
    route.idle_timeout = pool->idle_timeout;
    route.max_connection_duration = pool->max_connection_duration;
  }
  if (policy && policy->load_balancer) route.hash_source_ip = policy->load_balancer->use_source_ip;
  const Subset* part = rule && alone && !subset.empty() ? rule->subset(subset) : nullptr;
  if (part && part->policy && part->policy->load_balancer)
    route.hash_source_ip = part->policy->load_balancer->use_source_ip;
}

Route own_route(const ProxyView& view, const PortInView& port) {
  const uint16_t number = port.def->declared_ports == 1 ? port.def->ports.front().port : port.listen_port;
  Route route = plain_route(outbound_cluster_name(number, "", port.def->host), port.def->origin);
  if (const auto it = view.scope.hosts.find(port.def->host); it != view.scope.hosts.end())
    apply_rule(view, it->second, "", true, route);
  return route;
}

std::vector<Prefix> sorted(std::vector<Prefix> prefixes) {
  std::sort(prefixes.begin(), prefixes.end());
  prefixes.erase(std::unique(prefixes.begin(), prefixes.end()), prefixes.end());
  return prefixes;
}

std::vector<Prefix> own_block(const PortInView& port) {
  return port.block ? std::vector<Prefix>{*port.block} : std::vector<Prefix>{};
}

FilterChain chain_of(Route route, std::vector<Prefix> prefixes) {
  Text name = route.stat_prefix;
  FilterChain chain = plain_chain(std::move(name), std::move(route));
  chain.match.prefix_ranges = std::move(prefixes);
  return chain;
}

// Names of an SNI list: lower case, "*" means that no name is asked for.
std::vector<std::string> server_names(const std::vector<std::string>& hosts) {
  std::set<std::string> names;
  for (const std::string& host : hosts) {
    if (host == "*") return {};
    names.insert(to_lower(host));
  }
  return {names.begin(), names.end()};
}

std::vector<FilterChain> tcp_chains(const ProxyView& view, const std::vector<const VirtualService*>& routes,
                                    const PortInView& port, std::vector<model::Loser>& losers) {
  std::vector<FilterChain> chains;
  const VirtualService* winner = nullptr;
  bool own_block_taken = false;
  for (const VirtualService* owner : routes) {
    if (winner) {
      if (!owner->tcp.empty())
        losers.push_back({owner->meta.origin(),
                          "tcp routes for " + port.def->host,
                          winner->meta.origin()->to_string() + " comes first and takes every connection",
                          {}});
      continue;
    }
    for (const L4Route& entry : owner->tcp) {
      if (entry.destinations.empty()) continue;
      const auto make = [&] {
        return route_to(view, *owner, entry.destinations, port.listen_port, entry.line);
      };
      bool terminal = entry.matches.empty();
      std::vector<Prefix> subnets;
      for (const L4Match& match : entry.matches) {
        if (!applies(match, view.self, port.listen_port)) continue;
        if (match.destination_subnets.empty()) {
          terminal = true;
          break;
        }
        subnets.insert(subnets.end(), match.destination_subnets.begin(), match.destination_subnets.end());
      }
      if (!terminal && subnets.empty()) continue;
      std::optional<Route> route = make();
      if (!route) continue;
      subnets = sorted(std::move(subnets));
      // A second chain with the service's own block would make Envoy refuse the listener.
      own_block_taken = own_block_taken || (!terminal && subnets == own_block(port));
      chains.push_back(chain_of(std::move(*route), terminal ? own_block(port) : subnets));
      if (terminal) {
        winner = owner;
        break;
      }
    }
  }
  if (!winner && !own_block_taken) chains.push_back(chain_of(own_route(view, port), own_block(port)));
  return chains;
}

std::vector<FilterChain> tls_chains(const ProxyView& view, const std::vector<const VirtualService*>& routes,
                                    const PortInView& port, std::vector<model::Loser>& losers) {
  std::vector<FilterChain> chains;
  std::set<std::pair<std::vector<std::string>, std::vector<Prefix>>> taken;
  for (const VirtualService* owner : routes) {
    for (const L4Route& entry : owner->tls) {
      for (const L4Match& match : entry.matches) {
        if (!applies(match, view.self, port.listen_port)) continue;
        if (!taken.insert({match.sni_hosts, match.destination_subnets}).second) {
          losers.push_back({owner->meta.origin(match.line),
                            "tls match [" + join(match.sni_hosts, ", ") + "]",
                            "an earlier match is for the same names",
                            {}});
          continue;
        }
        std::optional<Route> route = route_to(view, *owner, entry.destinations, port.listen_port, entry.line);
        if (!route) continue;
        FilterChain chain =
            chain_of(std::move(*route),
                     match.destination_subnets.empty() ? own_block(port) : sorted(match.destination_subnets));
        chain.match.server_names = server_names(match.sni_hosts);
        chains.push_back(std::move(chain));
      }
    }
  }
  if (chains.empty()) {
    chains.push_back(chain_of(own_route(view, port), own_block(port)));
    if (port.block || port.wildcard_bind) chains.back().match.server_names = server_names({port.def->host});
  }
  return chains;
}

}  // namespace

RouteTable::RouteTable(const std::vector<std::shared_ptr<const VirtualService>>& routes,
                       const MeshConfig& mesh)
    : routes_(routes) {
  for (size_t i = 0; i < routes_.size(); ++i) {
    for (const std::string& short_host : routes_[i]->hosts) {
      const std::string host = full_name(short_host, routes_[i]->meta.ns, mesh.domain);
      all_.emplace_back(host, i);
      if (is_wildcard(host)) {
        wildcard_.emplace_back(host, i);
      } else {
        exact_[host].push_back(i);
      }
    }
  }
}

std::vector<const VirtualService*> RouteTable::of(const std::string& host) const {
  std::set<size_t> found;
  if (is_wildcard(host)) {
    for (const auto& [name, i] : all_)
      if (hosts_match(name, host)) found.insert(i);
  } else {
    if (const auto it = exact_.find(host); it != exact_.end())
      found.insert(it->second.begin(), it->second.end());
    for (const auto& [name, i] : wildcard_)
      if (hosts_match(name, host)) found.insert(i);
  }
  std::vector<const VirtualService*> routes;
  routes.reserve(found.size());
  for (size_t i : found) routes.push_back(routes_[i].get());
  return routes;
}

Route plain_route(Text cluster, model::OriginPtr origin) {
  Route route;
  route.stat_prefix = cluster;
  route.clusters.push_back({std::move(cluster), 0});
  route.origin = std::move(origin);
  return route;
}

FilterChain plain_chain(Text name, Route route) {
  FilterChain chain;
  chain.name = std::move(name);
  chain.origin = route.origin;
  chain.route = std::move(route);
  return chain;
}

std::string destination_cluster(const ProxyView& view, const Destination& destination, const std::string& ns,
                                uint16_t port) {
  std::string name = full_name(destination.host, ns, view.mesh.config->domain);
  const Scope::Host* host = view.scope.find(name);
  if (host) name = host->owner->host;
  if (destination.port != 0) {
    port = destination.port;
  } else if (host && host->declared_ports() == 1) {
    for (const auto& def : host->defs)
      for (const RegistryPort& one : def->ports)
        if (host->port(one.port)) port = one.port;
  }
  return outbound_cluster_name(port, destination.subset, name);
}

std::optional<Route> route_to(const ProxyView& view, const VirtualService& owner,
                              const std::vector<RouteDestination>& destinations, uint16_t port, int line) {
  Route route;
  route.origin = owner.meta.origin(line);
  uint64_t sum = 0;
  for (const RouteDestination& one : destinations) {
    const auto weight = static_cast<uint32_t>(
        std::clamp<int64_t>(one.weight.value_or(0), 0, std::numeric_limits<uint32_t>::max()));
    sum += weight;
    route.clusters.push_back({destination_cluster(view, one.destination, owner.meta.ns, port), weight});
  }
  const bool alone = route.clusters.size() == 1;
  if (route.clusters.empty() || (!alone && sum == 0)) return std::nullopt;
  route.stat_prefix = alone ? route.clusters.front().cluster : Text(owner.meta.name + "." + owner.meta.ns);
  const Destination& first = destinations.front().destination;
  if (const Scope::Host* host =
          view.scope.find(full_name(first.host, owner.meta.ns, view.mesh.config->domain)))
    apply_rule(view, *host, first.subset, alone, route);
  return route;
}

std::vector<FilterChain> chains_for(const ProxyView& view, const RouteTable& routes, const PortInView& port,
                                    std::vector<model::Loser>& losers) {
  if (is_http(port.protocol)) {
    // Carried at layer 4 by the owner of the address, whatever its HTTP routes are.
    for (const VirtualService* owner : routes.of(port.def->host))
      if (!owner->http.empty())
        losers.push_back({owner->meta.origin(owner->http.front().line),
                          "http routes for " + port.def->host,
                          "HTTP routes are not applied: the port is carried at layer 4",
                          {}});
    std::vector<FilterChain> chains;
    chains.push_back(chain_of(own_route(view, port), own_block(port)));
    return chains;
  }
  const auto own = routes.of(port.def->host);
  return is_tls(port.protocol) ? tls_chains(view, own, port, losers) : tcp_chains(view, own, port, losers);
}

}  // namespace sockmesh::config
