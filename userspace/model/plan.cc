#include "model/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "model/plan_facts.h"

namespace sockmesh::model {

namespace {

// Walks two maps side by side. `changed` tells what differs of a value on both sides; empty: nothing.
template <typename V, typename Changed, typename Add>
void diff(const std::map<std::string, V>& before, const std::map<std::string, V>& after,
          const Changed& changed, const Add& add) {
  for (const auto& [name, old] : before) {
    if (!after.contains(name)) add(ChangeKind::kRemoved, name, old, std::vector<std::string>{});
  }
  for (const auto& [name, now] : after) {
    const auto old = before.find(name);
    if (old == before.end()) {
      add(ChangeKind::kAdded, name, now, std::vector<std::string>{});
    } else if (auto details = changed(old->second, now); !details.empty()) {
      add(ChangeKind::kChanged, name, now, std::move(details));
    }
  }
}

template <typename Change>
void sort_by_name(std::vector<Change>& changes) {
  std::stable_sort(changes.begin(), changes.end(),
                   [](const Change& a, const Change& b) { return a.name < b.name; });
}

std::vector<PlanChange> diff_listeners(const Snapshot& before, const Snapshot& after) {
  const auto by_name = [](const Snapshot& snapshot) {
    std::map<std::string, const Listener*> out;
    for (const ListenerPtr& listener : snapshot.listeners) out.emplace(listener->name, listener.get());
    return out;
  };
  std::vector<PlanChange> out;
  diff(
      by_name(before), by_name(after),
      [](const Listener* a, const Listener* b) {
        return a == b ? std::vector<std::string>{} : differences(facts_of(*a), facts_of(*b));
      },
      [&](ChangeKind kind, const std::string& name, const Listener* listener, auto details) {
        out.push_back({kind, name, std::move(details), listener->origin});
      });
  sort_by_name(out);
  return out;
}

void diff_clusters(const Snapshot& before, const Snapshot& after, Plan& plan) {
  using Clusters = std::map<std::string, const Cluster*>;
  using Endpoints = std::map<std::string, const Endpoint*>;
  const auto by_name = [](const Snapshot& snapshot) {
    Clusters out;
    for (const auto& [name, cluster] : snapshot.clusters) out.emplace(name, cluster.get());
    return out;
  };
  const auto by_address = [](const Cluster* cluster) {
    Endpoints out;
    if (!cluster) return out;
    for (const Endpoint& endpoint : cluster->endpoints) out.emplace(to_string(endpoint.address), &endpoint);
    return out;
  };
  const Clusters old = by_name(before), now = by_name(after);
  diff(
      old, now,
      [](const Cluster* a, const Cluster* b) {
        return a == b ? std::vector<std::string>{} : differences(facts_of(*a), facts_of(*b));
      },
      [&](ChangeKind kind, const std::string& name, const Cluster* cluster, auto details) {
        plan.clusters.push_back({kind, name, std::move(details), cluster->origin});
      });
  // Endpoints of clusters that stay: those of new and removed ones come and go with them.
  for (const auto& entry : now) {
    const std::string& name = entry.first;
    const Cluster* cluster = entry.second;
    const auto was = old.find(name);
    if (was == old.end() || was->second == cluster) continue;
    diff(
        by_address(was->second), by_address(cluster),
        [](const Endpoint* a, const Endpoint* b) { return differences(facts_of(*a), facts_of(*b)); },
        [&](ChangeKind kind, const std::string& address, const Endpoint*, auto details) {
          plan.endpoints.push_back(
              {kind, fmt::format("{} in {}", address, name), std::move(details), cluster->origin});
        });
  }
  sort_by_name(plan.clusters);
  sort_by_name(plan.endpoints);
}

// Where a connection would go: clusters, or why to none.
struct Outcome {
  std::string text;
  const Listener* listener = nullptr;
  const FilterChain* chain = nullptr;
  std::vector<const FilterChain*> possible;  // several when the first bytes decide and are not known
};

Outcome outcome_of(const Snapshot& snapshot, const ConnectionInfo& connection) {
  const Decision decision = match(snapshot, connection);
  Outcome outcome;
  outcome.listener = decision.listener;
  outcome.chain = decision.chain;
  if (decision.needs_inspection && decision.listener) {
    outcome.text = "up to its first bytes";
    for (const FilterChain& chain : decision.listener->chains) outcome.possible.push_back(&chain);
    if (decision.listener->default_chain) outcome.possible.push_back(&*decision.listener->default_chain);
  } else if (decision.chain) {
    outcome.text = describe_route(decision.chain->route);
    outcome.possible.push_back(decision.chain);
  } else {
    outcome.text = decision.listener ? "closed: no filter chain matches (NR)" : "not taken by any listener";
  }
  return outcome;
}

struct RouteAt {
  std::string listener, match, route;
  SocketAddress address;
  Direction direction;
  OriginPtr origin;
};

std::map<std::string, RouteAt> routes_of(const Snapshot& snapshot) {
  std::map<std::string, RouteAt> out;
  for (const ListenerPtr& listener : snapshot.listeners) {
    const auto add = [&](const FilterChain& chain, std::string match) {
      const SocketAddress address =
          listener->addresses.empty() ? SocketAddress{} : listener->addresses.front();
      out.emplace(listener->name + " " + match,
                  RouteAt{listener->name, match, describe_route(chain.route), address, listener->direction,
                          chain.route.origin ? chain.route.origin : chain.origin});
    };
    for (const FilterChain& chain : listener->chains) add(chain, describe_match(chain.match));
    if (listener->default_chain)
      add(*listener->default_chain, listener->chains.empty() ? "everything" : "everything else");
  }
  return out;
}

// What takes the connections of a route that the other snapshot does not have. A wildcard's are of many
// kinds.
std::string instead_of(const RouteAt& route, const Snapshot& other) {
  if (route.address.ip.is_any() || route.address.port == 0) return "";
  ConnectionInfo connection;
  connection.direction = route.direction;
  connection.destination = route.address;
  return outcome_of(other, connection).text;
}

std::vector<RouteChange> diff_routes(const Snapshot& before, const Snapshot& after) {
  const auto old = routes_of(before), now = routes_of(after);
  std::vector<RouteChange> out;
  diff(
      old, now,
      [](const RouteAt& a, const RouteAt& b) {
        return a.route == b.route ? std::vector<std::string>{} : std::vector<std::string>{a.route};
      },
      [&](ChangeKind kind, const std::string&, const RouteAt& route, const auto& details) {
        RouteChange change{kind, route.listener, route.match, "", "", route.origin};
        if (kind == ChangeKind::kRemoved) {
          change.before = route.route;
          change.after = instead_of(route, after);
        } else {
          change.before = kind == ChangeKind::kAdded ? instead_of(route, before) : details.front();
          change.after = route.route;
        }
        out.push_back(std::move(change));
      });
  std::stable_sort(out.begin(), out.end(), [](const RouteChange& a, const RouteChange& b) {
    return std::tie(a.listener, a.match) < std::tie(b.listener, b.match);
  });
  return out;
}

bool leads_to(const FilterChain& chain, const std::string& cluster) {
  const auto& clusters = chain.route.clusters;
  return std::any_of(clusters.begin(), clusters.end(), [&](const WeightedCluster& part) {
    return part.cluster == cluster && (part.weight > 0 || clusters.size() == 1);
  });
}

bool has_endpoint(const Cluster& cluster, const SocketAddress& address) {
  // What DNS answers, and what the client dialled, is no part of the configuration.
  if (cluster.type != ClusterType::kEds && cluster.type != ClusterType::kStatic) return true;
  return std::any_of(cluster.endpoints.begin(), cluster.endpoints.end(), [&](const Endpoint& endpoint) {
    return endpoint.address == EndpointAddress(address) && endpoint.health != Health::kUnhealthy &&
           endpoint.weight > 0;
  });
}

const Listener* find_bound(const Snapshot& snapshot, const std::string& name) {
  for (const ListenerPtr& listener : snapshot.listeners) {
    if (listener->bind_to_port && listener->name == name) return listener.get();
  }
  return nullptr;
}

std::optional<FlowChange> rerouted(const OpenFlow& flow, const Snapshot& after) {
  ConnectionInfo connection{flow.direction, flow.original_destination, flow.source, nullptr, flow.hello};
  if (!flow.bound_listener.empty()) {
    connection.bound = find_bound(after, flow.bound_listener);
    if (!connection.bound)
      return FlowChange{flow, "refused", "nothing listens on " + flow.bound_listener, nullptr};
  }
  const Outcome outcome = outcome_of(after, connection);
  const auto same = std::find_if(outcome.possible.begin(), outcome.possible.end(),
                                 [&](const auto* chain) { return leads_to(*chain, flow.cluster); });
  if (same == outcome.possible.end()) {
    FlowChange change{flow, outcome.text, "", nullptr};
    if (outcome.listener) change.reason = "listener " + outcome.listener->name;
    if (outcome.chain) {
      change.reason += fmt::format(", {}", describe_match(outcome.chain->match));
      change.object = outcome.chain->route.origin ? outcome.chain->route.origin : outcome.chain->origin;
    }
    return change;
  }
  const Cluster* cluster = after.find_cluster(flow.cluster);
  if (!cluster)
    return FlowChange{flow, "closed: " + flow.cluster + " is gone (NC)", "its cluster", (*same)->origin};
  if (flow.upstream && !has_endpoint(*cluster, *flow.upstream)) {
    return FlowChange{flow, "another endpoint of " + flow.cluster,
                      fmt::format("{} is no endpoint any more", flow.upstream->to_string()), cluster->origin};
  }
  return std::nullopt;
}

char sign(ChangeKind kind) {
  return kind == ChangeKind::kAdded ? '+' : kind == ChangeKind::kRemoved ? '-' : '~';
}

std::string by(const OriginPtr& object) { return object ? fmt::format(" ({})", object->to_string()) : ""; }

// Appends a section of lines, cut after `most`.
template <typename T, typename Line>
void section(std::string& out, std::string_view title, const std::vector<T>& items, size_t most,
             const Line& line) {
  if (items.empty()) return;
  out += fmt::format("{} ({}):\n", title, items.size());
  for (size_t i = 0; i < items.size() && i < most; ++i) out += "  " + line(items[i]) + "\n";
  if (items.size() > most) out += fmt::format("  ... and {} more\n", items.size() - most);
}

std::string line_of(const PlanChange& change) {
  std::string out = fmt::format("{} {}", sign(change.kind), change.name);
  if (!change.details.empty()) out += fmt::format(": {}", fmt::join(change.details, "; "));
  return out + by(change.object);
}

std::string line_of(const RouteChange& change) {
  std::string out = fmt::format("{} {}, {}: ", sign(change.kind), change.listener, change.match);
  if (change.before.empty() || change.before == change.after) {
    out += change.after.empty() ? "-" : change.after;
  } else {
    out += fmt::format("{} -> {}", change.before, change.after.empty() ? "-" : change.after);
  }
  return out + by(change.object);
}

std::string line_of(const FlowChange& change) {
  return fmt::format("! {} {} -> {}: {} -> {}, {}{}", change.flow.id, change.flow.source.to_string(),
                     change.flow.original_destination.to_string(), change.flow.cluster, change.after,
                     change.reason, by(change.object));
}

}  // namespace

bool Plan::empty() const {
  return listeners.empty() && clusters.empty() && endpoints.empty() && routes.empty() && flows.empty();
}

Plan make_plan(const Snapshot& before, const Snapshot& after, const std::vector<OpenFlow>& flows) {
  Plan plan;
  plan.listeners = diff_listeners(before, after);
  diff_clusters(before, after, plan);
  plan.routes = diff_routes(before, after);
  plan.flows_seen = flows.size();
  for (const OpenFlow& flow : flows) {
    if (auto change = rerouted(flow, after)) plan.flows.push_back(std::move(*change));
  }
  return plan;
}

std::string to_text(const Plan& plan, size_t most) {
  if (plan.empty()) return fmt::format("Nothing changes; {} open flows stay as they are.\n", plan.flows_seen);
  std::string out;
  const auto line = [](const auto& change) { return line_of(change); };
  section(out, "Listeners", plan.listeners, most, line);
  section(out, "Routes", plan.routes, most, line);
  section(out, "Clusters", plan.clusters, most, line);
  section(out, "Endpoints", plan.endpoints, most, line);
  section(out, "Open flows that would be routed otherwise", plan.flows, most, line);
  out += fmt::format("{} of {} open flows would be routed otherwise; none is touched.\n", plan.flows.size(),
                     plan.flows_seen);
  return out;
}

}  // namespace sockmesh::model
