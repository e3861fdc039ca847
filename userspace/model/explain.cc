#include "model/explain.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/explain_cures.h"

namespace sockmesh::model {

namespace {

// A listing is for people: beyond this many, a number says enough.
constexpr size_t kMostEndpoints = 16;
constexpr size_t kMostLosers = 64;

std::string chain_condition(const FilterChainMatch& match) {
  std::vector<std::string> parts;
  if (match.destination_port) parts.push_back(fmt::format("port {}", *match.destination_port));
  if (!match.prefix_ranges.empty()) {
    std::vector<std::string> blocks;
    for (const Prefix& prefix : match.prefix_ranges) blocks.push_back(prefix.to_string());
    parts.push_back(fmt::format("destination in {}", fmt::join(blocks, ", ")));
  }
  if (!match.server_names.empty())
    parts.push_back(fmt::format("SNI {}", fmt::join(match.server_names, ", ")));
  if (match.transport == TransportProtocol::kTls) parts.push_back("TLS");
  if (match.transport == TransportProtocol::kRawBuffer) parts.push_back("not TLS");
  if (!match.application_protocols.empty())
    parts.push_back(fmt::format("ALPN {}", fmt::join(match.application_protocols, ", ")));
  return parts.empty() ? "everything" : fmt::format("{}", fmt::join(parts, " and "));
}

// What the rules redirect connections to. None at gateways and in interception mode NONE: whoever dials a
// port that is not bound is refused by the kernel.
const Listener* capture(const Snapshot& snapshot, Direction direction) {
  return direction == Direction::kInbound ? snapshot.virtual_inbound : snapshot.virtual_outbound;
}

std::string interception(const Snapshot& snapshot, const ConnectionInfo& connection) {
  const std::string to = connection.destination.to_string();
  if (connection.bound) return fmt::format("accepted by the bound listener {}", connection.bound->name);
  const Listener* listener = capture(snapshot, connection.direction);
  if (!listener) return fmt::format("nothing is redirected to this proxy, and it has not bound {}", to);
  const uint16_t port = listener->addresses.front().port;
  if (connection.direction == Direction::kInbound)
    return fmt::format("a connection from outside to {} is redirected to port {}", to, port);
  if (connection.destination.ip.is_loopback())
    return fmt::format("{} is loopback: the rules do not redirect it, what follows is what would be", to);
  return fmt::format("a connection from the pod to {} is redirected to port {}", to, port);
}

std::string why_listener(const Snapshot& snapshot, const ConnectionInfo& connection,
                         const Listener& listener) {
  const SocketAddress& to = connection.destination;
  if (connection.bound) return fmt::format("listener {} is bound to the port", listener.name);
  if (&listener == snapshot.virtual_inbound)
    return fmt::format("listener {} takes everything inbound", listener.name);
  if (&listener == snapshot.virtual_outbound)
    return fmt::format("no listener has {} and none takes port {} of every address: it stays in {}",
                       to.to_string(), to.port, listener.name);
  const auto& own = listener.addresses;
  if (std::find(own.begin(), own.end(), to) != own.end())
    return fmt::format("listener {} has exactly this address", listener.name);
  return fmt::format("no listener has {}; {} takes port {} of every address", to.to_string(), listener.name,
                     to.port);
}

std::string why_chain(const Listener& listener, const FilterChain& chain) {
  if (listener.default_chain && &*listener.default_chain == &chain)
    return listener.chains.empty()
               ? fmt::format("filter chain {} is the only one", chain.name)
               : fmt::format("no other filter chain matches: {} is the default", chain.name);
  if (listener.chains.size() == 1 && chain.match.match_all())
    return fmt::format("filter chain {} is the only one", chain.name);
  return fmt::format("filter chain {} matches: {}", chain.name, chain_condition(chain.match));
}

std::string why_route(const Route& route, const std::vector<Explanation::ClusterPart>& parts) {
  if (parts.size() == 1) return fmt::format("every connection goes to {}", parts.front().name);
  std::vector<std::string> shares;
  for (const auto& part : parts) shares.push_back(fmt::format("{:.4g} % to {}", part.share * 100, part.name));
  return fmt::format("drawn per connection ({}): {}", route.stat_prefix, fmt::join(shares, ", "));
}

std::string about_cluster(const Explanation::ClusterPart& part) {
  if (!part.cluster) return fmt::format("{} does not exist", part.name);
  const Cluster& cluster = *part.cluster;
  std::string text =
      fmt::format("{} is of type {}, {}", cluster.name, to_string(cluster.type), to_string(cluster.lb));
  if (cluster.max_connections) text += fmt::format(", at most {} connections", *cluster.max_connections);
  if (cluster.destination_rule) text += fmt::format("; {} applies", cluster.destination_rule->to_string());
  return text;
}

std::string about_endpoints(const Cluster& cluster, const SocketAddress& dialled) {
  if (cluster.type == ClusterType::kOriginalDst) {
    const bool any_name = std::string_view(cluster.service_host).starts_with("*");
    return fmt::format(
        "{}: dialled where the client did, {}{}", cluster.name,
        SocketAddress{dialled.ip, cluster.original_dst_port.value_or(dialled.port)}.to_string(),
        any_name ? "; names under a wildcard are not resolved here, also not with DYNAMIC_DNS" : "");
  }
  if (cluster.endpoints.empty()) return fmt::format("{} has no endpoint", cluster.name);
  std::vector<std::string> list;
  for (const Endpoint& endpoint : cluster.endpoints) {
    if (list.size() == kMostEndpoints) {
      list.push_back(fmt::format("and {} more", cluster.endpoints.size() - kMostEndpoints));
      break;
    }
    std::string text = to_string(endpoint.address);
    if (endpoint.health == Health::kUnhealthy) text += " unhealthy";
    if (endpoint.health == Health::kDraining) text += " draining";
    if (endpoint.weight != 1) text += fmt::format(" weight {}", endpoint.weight);
    if (endpoint.priority != 0) text += fmt::format(" priority {}", endpoint.priority);
    list.push_back(std::move(text));
  }
  return fmt::format("{}: {}", cluster.name, fmt::join(list, ", "));
}

// What every connection to this part would end with; empty when it is up to the endpoints.
std::optional<ResponseFlag> fate_of(const Explanation::ClusterPart& part) {
  if (!part.cluster) return ResponseFlag::kNoClusterFound;
  const Cluster& cluster = *part.cluster;
  if (cluster.type == ClusterType::kOriginalDst) return std::nullopt;
  const bool any = std::any_of(cluster.endpoints.begin(), cluster.endpoints.end(), [&](const Endpoint& one) {
    return one.weight > 0 && (one.health == Health::kHealthy || cluster.panic_threshold_percent > 0);
  });
  if (!any) return ResponseFlag::kNoHealthyUpstream;
  return std::nullopt;
}

void add_losing_chains(const Decision& decision, std::vector<Loser>& losers) {
  for (const FilterChain& chain : decision.listener->chains) {
    if (&chain == decision.chain || !chain.log) continue;
    losers.push_back({chain.origin,
                      fmt::format("chain {} on {}", chain.name, decision.listener->name),
                      fmt::format("it is for {}", chain_condition(chain.match)),
                      {}});
  }
}

std::vector<Loser> losers_of(const Snapshot& snapshot, const ConnectionInfo& connection,
                             const Decision& decision) {
  std::vector<Loser> losers;
  const Listener& listener = *decision.listener;
  const auto add = [&](const std::vector<Loser>& from) {
    for (const Loser& loser : from)
      if (!loser.at || *loser.at == connection.destination) losers.push_back(loser);
  };
  add(listener.losers);
  // On the inbound side every declared port is a chain; the others are no candidates.
  if (&listener != snapshot.virtual_inbound) add_losing_chains(decision, losers);
  const bool captured = !connection.bound && connection.direction == Direction::kOutbound;
  if (captured && snapshot.virtual_outbound && &listener != snapshot.virtual_outbound) {
    add(snapshot.virtual_outbound->losers);
    const SocketAddress wildcard{IpAddress::any(connection.destination.ip.is_v6()),
                                 connection.destination.port};
    const auto it = snapshot.by_address.find(wildcard);
    if (it != snapshot.by_address.end() && it->second != &listener)
      losers.push_back({it->second->origin,
                        "listener " + it->second->name,
                        fmt::format("{} has exactly this address", listener.name),
                        {}});
  }
  if (losers.size() > kMostLosers) losers.resize(kMostLosers);
  return losers;
}

// Servers of gateways whose port is not opened.
std::vector<Loser> closed_servers(const Snapshot& snapshot, uint16_t port) {
  std::vector<Loser> losers;
  for (const Finding& finding : snapshot.findings) {
    const auto& about = finding.server_ports;
    if (std::find(about.begin(), about.end(), port) != about.end() && losers.size() < kMostLosers)
      losers.push_back({finding.object, fmt::format("listener 0.0.0.0_{}", port), finding.text, {}});
  }
  return losers;
}

std::string outcome_text(const Explanation& explanation, const Decision& decision) {
  if (decision.egress_blocked) return "refused by the egress lists: closed at once, UH";
  const std::string flags = explanation.expected.to_string();
  if (flags == "-") {
    const bool some_fail = std::any_of(explanation.clusters.begin(), explanation.clusters.end(),
                                       [](const auto& part) { return part.share > 0 && fate_of(part); });
    return some_fail ? "the share of some destinations fails" : "connections are carried";
  }
  return fmt::format("every connection ends with {}", flags);
}

}  // namespace

Explanation explain(const Snapshot& snapshot, const ConnectionInfo& connection) {
  Explanation explanation;
  explanation.connection = connection;
  const auto step = [&](const char* stage, std::string text, OriginPtr object = nullptr) {
    explanation.steps.push_back({stage, std::move(text), std::move(object)});
  };
  step("interception", interception(snapshot, connection));

  const Decision decision = match(snapshot, connection);
  if (!decision.listener) {
    if (capture(snapshot, connection.direction)) {
      explanation.expected.add(ResponseFlag::kNoRouteFound);
      step("outcome", "there is no listener for it: NR");
    } else {
      explanation.losers = closed_servers(snapshot, connection.destination.port);
      step("outcome", "nobody listens there: the connection is refused");
    }
    return explanation;
  }
  const Listener& listener = *decision.listener;
  explanation.listener = listener.name;
  step("listener", why_listener(snapshot, connection, listener), listener.origin);
  explanation.losers = losers_of(snapshot, connection, decision);
  if (decision.needs_inspection) {
    step("filterChain",
         "it depends on the first bytes: the connection waits for them (name the SNI to go on)");
    step("outcome", "a client that waits for the server is not served");
    return explanation;
  }
  if (!decision.chain) {
    explanation.expected.add(ResponseFlag::kNoRouteFound);
    step("filterChain", "no filter chain matches and there is no default");
    step("outcome", "closed with NR, filter_chain_not_found");
    return explanation;
  }
  const FilterChain& chain = *decision.chain;
  explanation.filter_chain = chain.name;
  explanation.route = chain.route.clusters;
  step("filterChain",
       decision.egress_blocked ? std::string("the egress lists do not let it leave the mesh")
                               : why_chain(listener, chain),
       chain.origin);

  double sum = 0;
  for (const WeightedCluster& part : chain.route.clusters) sum += part.weight;
  const bool alone = chain.route.clusters.size() == 1;
  for (const WeightedCluster& part : chain.route.clusters) {
    const auto it = snapshot.clusters.find(part.cluster);
    explanation.clusters.push_back({part.cluster, it == snapshot.clusters.end() ? nullptr : it->second,
                                    alone || sum == 0 ? 1.0 : part.weight / sum});
  }
  step("route", why_route(chain.route, explanation.clusters), chain.route.origin);
  for (const auto& part : explanation.clusters) {
    step("cluster", about_cluster(part), part.cluster ? part.cluster->origin : nullptr);
    if (part.cluster && part.name != kBlackHoleCluster)
      step("endpoints", about_endpoints(*part.cluster, connection.destination));
  }

  std::optional<ResponseFlag> all;
  bool every = true;
  for (const auto& part : explanation.clusters) {
    if (part.share == 0) continue;
    const auto fate = fate_of(part);
    every = every && fate && (!all || all == fate);
    all = fate;
  }
  if (every && all) explanation.expected.add(*all);
  step("outcome", outcome_text(explanation, decision));
  explanation.cures = find_cures(snapshot, decision, explanation);
  return explanation;
}

ExplainStep explain_lane(const Snapshot& snapshot, const ConnectionInfo& connection,
                         const DirectTerms& terms) {
  const auto reason = not_direct(snapshot, connection, match(snapshot, connection), terms);
  if (!reason)
    return {"lane", "direct: connect() leads the application itself to the endpoint, past the proxy",
            nullptr};
  return {"lane", std::string("through the proxy: ") + describe(*reason), nullptr};
}

}  // namespace sockmesh::model
