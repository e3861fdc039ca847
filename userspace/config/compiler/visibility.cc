#include "config/compiler/visibility.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "base/strings.h"
#include "config/resources/age.h"
#include "config/resources/hostnames.h"

namespace sockmesh::config {

namespace {

// The `hosts` of a Sidecar egress listener.
class ImportList {
 public:
  ImportList(const std::vector<std::string>& hosts, const std::string& ns) {
    for (const std::string& text : hosts) {
      const size_t slash = text.find('/');
      if (slash == std::string::npos) continue;
      std::string from = text.substr(0, slash);
      const std::string host = text.substr(slash + 1);
      const bool exclude = from.size() > 1 && from.front() == '~';
      if (exclude) from.erase(0, 1);
      if (from == "~") continue;
      if (from == ".") from = ns;
      (exclude ? without_ : with_).push_back({from, host});
    }
  }

  bool takes_service(const ServiceDef& def) const {
    const auto names = [&](const Entry& entry) {
      return (entry.ns == "*" || entry.ns == def.ns) && host_covers(entry.host, def.host);
    };
    return std::any_of(with_.begin(), with_.end(), names) &&
           std::none_of(without_.begin(), without_.end(), names);
  }

  bool takes_route(const VirtualService& route, const std::string& domain) const {
    return std::any_of(route.hosts.begin(), route.hosts.end(), [&](const std::string& short_host) {
      const std::string host = full_name(short_host, route.meta.ns, domain);
      return std::any_of(with_.begin(), with_.end(), [&](const Entry& entry) {
        return (entry.ns == "*" || entry.ns == route.meta.ns) && hosts_match(entry.host, host);
      });
    });
  }

 private:
  struct Entry {
    std::string ns, host;
  };
  std::vector<Entry> with_, without_;
};

bool on_mesh(const VirtualService& route) {
  return route.gateways.empty() ||
         std::find(route.gateways.begin(), route.gateways.end(), "mesh") != route.gateways.end();
}

// Definitions of one host that the proxy sees, by namespace.
using ByHost = std::unordered_map<std::string, std::vector<ServiceDefPtr>>;

// Whose a host name is when several namespaces define it: the client's own, a Kubernetes Service, the first
// in the order of visibility (by name before public).
std::string owner_namespace(const std::vector<ServiceDefPtr>& defs, const std::string& client_ns) {
  if (defs.size() == 1) return defs.front()->ns;
  const ServiceDef* best = nullptr;
  const auto rank = [&](const ServiceDef& def) {
    return std::make_tuple(def.ns != client_ns, !def.kubernetes, exported_to_all(def.export_to));
  };
  for (const auto& def : defs)
    if (!best || rank(*def) < rank(*best)) best = def.get();
  return best->ns;
}

// Two ServiceEntries of a namespace for one host are one if they agree on everything but ports and
// addresses; otherwise the older has the host alone.
bool mergeable(const ServiceDef& a, const ServiceDef& b) {
  if (!a.entry || !b.entry) return true;  // a Service and a ServiceEntry share
  return a.discovery == b.discovery && a.entry->meta.labels == b.entry->meta.labels &&
         a.entry->workload_selector == b.entry->workload_selector && a.export_to == b.export_to &&
         a.entry->mesh_internal == b.entry->mesh_internal;
}

void import_destinations(const std::vector<std::shared_ptr<const VirtualService>>& routes,
                         const ByHost& visible, const MeshConfig& mesh,
                         std::map<std::string, std::set<uint16_t>>& wanted) {
  const auto want = [&](const VirtualService& route, const std::vector<RouteDestination>& destinations) {
    for (const RouteDestination& one : destinations) {
      const std::string host = full_name(one.destination.host, route.meta.ns, mesh.domain);
      if (visible.contains(host)) wanted[host].insert(one.destination.port);
    }
  };
  for (const auto& route : routes) {
    for (const auto& entry : route->tcp) want(*route, entry.destinations);
    for (const auto& entry : route->tls) want(*route, entry.destinations);
    for (const auto& entry : route->http) want(*route, entry.destinations);
  }
}

bool by_host(const Scope::Hidden& a, const Scope::Hidden& b) {
  return std::tie(a.def->host, a.def->ns, a.def->origin->name, a.reason) <
         std::tie(b.def->host, b.def->ns, b.def->origin->name, b.reason);
}

template <typename T, typename Less>
void merge_into(std::vector<T>& all, std::vector<T> more, Less less) {
  const auto middle = static_cast<std::ptrdiff_t>(all.size());
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  std::inplace_merge(all.begin(), all.begin() + middle, all.end(), less);
}

}  // namespace

const RegistryPort* Scope::Host::port(uint16_t number) const {
  if (ports && !ports->contains(number)) return nullptr;
  for (const auto& def : defs)
    if (const RegistryPort* found = def->port(number)) return found;
  return nullptr;
}

size_t Scope::Host::declared_ports() const {
  if (ports) return ports->size();
  if (defs.size() == 1) return owner->declared_ports;
  std::set<uint16_t> numbers;
  for (const auto& def : defs)
    for (const RegistryPort& port : def->ports) numbers.insert(port.port);
  return numbers.size();
}

const Scope::Host* Scope::find(const std::string& host) const {
  auto it = hosts.find(host);
  // An alias of an alias of an alias is followed; a loop leads nowhere. 32 is more than anybody chains.
  for (int hops = 0; hops < 32 && it != hosts.end(); ++hops) {
    if (it->second.owner->discovery != Discovery::kAlias) return &it->second;
    it = hosts.find(it->second.owner->alias_of);
  }
  return nullptr;
}

List<VirtualService> visible_routes(const List<VirtualService>& all, const std::string& ns,
                                    const MeshConfig& mesh) {
  List<VirtualService> own, named, open;
  for (const auto& route : all) {
    const auto& export_to =
        route->export_to.empty() ? mesh.default_virtual_service_export_to : route->export_to;
    const auto has = [&](std::string_view what) {
      return std::find(export_to.begin(), export_to.end(), what) != export_to.end();
    };
    if (has("~")) continue;
    if (export_to.empty() || has("*")) {
      open.push_back(route);
    } else if (route->meta.ns == ns && (has(".") || has(ns))) {
      own.push_back(route);
    } else if (has(ns)) {
      named.push_back(route);
    }
  }
  own.insert(own.end(), named.begin(), named.end());
  own.insert(own.end(), open.begin(), open.end());
  return own;
}

std::shared_ptr<const Sidecar> sidecar_for(const List<Sidecar>& all, const std::string& ns,
                                           const Labels& labels, const MeshConfig& mesh) {
  // 0: selects this workload, 1: the namespace's, 2: the root namespace's.
  const auto rank = [&](const Sidecar& one) {
    if (one.meta.ns == ns && one.workload_selector)
      return labels_contain(labels, *one.workload_selector) ? 0 : 3;
    if (one.workload_selector) return 3;
    return one.meta.ns == ns ? 1 : one.meta.ns == mesh.root_namespace ? 2 : 3;
  };
  std::shared_ptr<const Sidecar> best;
  for (const auto& one : all) {
    if (rank(*one) == 3) continue;
    if (!best || std::make_tuple(rank(*one), age(one->meta)) < std::make_tuple(rank(*best), age(best->meta)))
      best = one;
  }
  return best;
}

namespace {

class ScopeBuilder {
 public:
  ScopeBuilder(const Registry& registry, const List<VirtualService>& all_routes, const MeshConfig& mesh,
               const Self& self)
      : registry_(registry), mesh_(mesh), ns_(self.ns), routes_(visible_routes(all_routes, ns_, mesh)) {
    std::erase_if(routes_, [&](const auto& route) { return !self.gateway && !on_mesh(*route); });
  }

  Scope build(std::shared_ptr<const Sidecar> sidecar) {
    scope_.sidecar = std::move(sidecar);
    take_policy();
    sort_by_visibility();
    if (!scope_.sidecar || scope_.sidecar->egress.empty()) {
      EgressGroup& group = scope_.groups.emplace_back();
      group.routes = routes_;
      import(group, nullptr, std::nullopt);
    } else {
      for (const Sidecar::Egress& egress : scope_.sidecar->egress) import_listener(egress);
      add_destinations();
      hide_what_is_not_imported();
    }
    std::sort(scope_.hidden.begin(), scope_.hidden.end(), by_host);
    return std::move(scope_);
  }

 private:
  void take_policy() {
    scope_.registry_only = mesh_.outbound_registry_only;
    if (!mesh_.meta.kind.empty()) scope_.policy_origin = mesh_.meta.origin();
    if (!scope_.sidecar || !scope_.sidecar->outbound) return;
    scope_.registry_only = scope_.sidecar->outbound->registry_only;
    scope_.egress_proxy = scope_.sidecar->outbound->egress_proxy;
    scope_.policy_origin = scope_.sidecar->meta.origin(scope_.sidecar->outbound->line);
  }

  void sort_by_visibility() {
    for (const auto& def : registry_) {
      if (exported_to(def->export_to, def->ns, ns_)) {
        visible_[def->host].push_back(def);
      } else {
        hide(def, fmt::format("exportTo [{}] of {} does not include namespace {}", join(def->export_to, ", "),
                              def->origin->to_string(), ns_));
      }
    }
  }

  void import_listener(const Sidecar::Egress& egress) {
    EgressGroup& group = scope_.groups.emplace_back();
    group.listener = &egress;
    const ImportList imports(egress.hosts, ns_);
    for (const auto& route : routes_)
      if (imports.takes_route(*route, mesh_.domain)) group.routes.push_back(route);
    std::optional<uint16_t> port;
    if (egress.port && egress.port->number != 0) port = egress.port->number;
    import(group, &imports, port);
    import_destinations(group.routes, visible_, mesh_, wanted_);
  }

  // What the listener takes of the registry: its hosts into the scope, its services, oldest first, into the
  // group.
  void import(EgressGroup& group, const ImportList* imports, std::optional<uint16_t> port) {
    ByHost taken;
    for (const auto& def : registry_) {
      if (!exported_to(def->export_to, def->ns, ns_)) continue;
      if (imports && !imports->takes_service(*def)) continue;
      if (port && !def->port(*port)) continue;
      taken[def->host].push_back(def);
    }
    for (const auto& [host, defs] : taken) import_host(host, defs, port);
    const auto has = [](const std::vector<ServiceDefPtr>& defs, const ServiceDefPtr& def) {
      return std::find(defs.begin(), defs.end(), def) != defs.end();
    };
    for (const auto& def : registry_) {
      const auto it = taken.find(def->host);
      if (it != taken.end() && has(it->second, def) && has(owned_[def->host], def))
        group.services.push_back({def, port});
    }
  }

  void import_host(const std::string& host, const std::vector<ServiceDefPtr>& defs,
                   std::optional<uint16_t> port) {
    auto& kept = owned_[host];
    if (kept.empty()) kept = settle(defs);
    Scope::Host& entry = scope_.hosts[host];
    const bool known = entry.owner != nullptr;
    entry.owner = kept.front();
    entry.defs = kept;
    if (!port) {
      entry.ports.reset();
    } else if (!known) {
      entry.ports = std::set<uint16_t>{*port};
    } else if (entry.ports) {
      entry.ports->insert(*port);
    }
  }

  // Which definitions of a host count at all.
  std::vector<ServiceDefPtr> settle(const std::vector<ServiceDefPtr>& defs) {
    const std::string owner = owner_namespace(defs, ns_);
    std::vector<ServiceDefPtr> kept;
    for (const auto& def : defs) {
      if (def->ns != owner) {
        hide(def, fmt::format("{} is namespace {}'s", def->host, owner));
      } else if (!kept.empty() && !mergeable(*kept.front(), *def)) {
        hide(def, fmt::format("older {} defines {} otherwise", kept.front()->origin->to_string(), def->host));
      } else {
        kept.push_back(def);
      }
    }
    // The Kubernetes Service speaks for the host.
    std::stable_partition(kept.begin(), kept.end(), [](const auto& def) { return def->kubernetes; });
    return kept;
  }

  // Where the imported routes lead has clusters, though its own address stays unknown.
  void add_destinations() {
    for (const auto& [host, ports] : wanted_) {
      if (scope_.hosts.contains(host)) continue;
      const auto kept = settle(visible_[host]);
      Scope::Host entry{kept.front(), kept, std::nullopt};
      if (!ports.contains(0)) {
        entry.ports.emplace();
        for (uint16_t port : ports)
          if (std::any_of(kept.begin(), kept.end(), [&](const auto& def) { return def->port(port); }))
            entry.ports->insert(port);
        if (entry.ports->empty()) continue;
      }
      scope_.hosts.emplace(host, std::move(entry));
    }
  }

  void hide_what_is_not_imported() {
    for (const auto& [host, defs] : visible_)
      if (!owned_.contains(host))
        for (const auto& def : defs)
          hide(def, fmt::format("{} does not import {}/{}", scope_.sidecar->meta.origin()->to_string(),
                                def->ns, host));
  }

  void hide(const ServiceDefPtr& def, std::string reason) {
    scope_.hidden.push_back({def, std::move(reason)});
  }

  const Registry& registry_;
  const MeshConfig& mesh_;
  const std::string& ns_;
  List<VirtualService> routes_;
  ByHost visible_;
  ByHost owned_;                                      // what counts of a host, as imported
  std::map<std::string, std::set<uint16_t>> wanted_;  // hosts that imported routes lead to; 0: any port
  Scope scope_;
};

}  // namespace

Scope scope_for(const Registry& registry, const List<VirtualService>& all_routes,
                const List<Sidecar>& sidecars, const MeshConfig& mesh, const Self& self) {
  return ScopeBuilder(registry, all_routes, mesh, self)
      .build(self.gateway ? nullptr : sidecar_for(sidecars, self.ns, self.labels, mesh));
}

void replace_hosts(Scope& scope, const HostSet& hosts, Scope part) {
  for (const std::string& host : hosts) scope.hosts.erase(host);
  scope.hosts.merge(part.hosts);
  for (size_t i = 0; i < scope.groups.size(); ++i) {
    EgressGroup& group = scope.groups[i];
    group.routes = std::move(part.groups[i].routes);
    std::erase_if(group.services, [&](const auto& one) { return hosts.contains(one.def->host); });
    merge_into(group.services, std::move(part.groups[i].services),
               [](const auto& a, const auto& b) { return precedes(a.def, b.def); });
  }
  std::erase_if(scope.hidden, [&](const auto& one) { return hosts.contains(one.def->host); });
  merge_into(scope.hidden, std::move(part.hidden), by_host);
}

}  // namespace sockmesh::config
