#include "config/compiler/changes.h"

#include <algorithm>
#include <set>

#include "config/compiler/inbound.h"
#include "config/compiler/mesh.h"
#include "config/compiler/proxy_view.h"
#include "config/resources/hostnames.h"

namespace sockmesh::config {

namespace {

// By identity. Almost always a short stretch differs, so the equal ends are cut off first.
template <typename T>
Change<T> change(const List<T>& before, const List<T>& after) {
  auto [b, a] = std::mismatch(before.begin(), before.end(), after.begin(), after.end());
  auto before_end = before.end(), after_end = after.end();
  while (before_end != b && after_end != a && *std::prev(before_end) == *std::prev(after_end)) {
    --before_end;
    --after_end;
  }
  Change<T> made{{b, before_end}, {a, after_end}};
  const std::set<std::shared_ptr<const T>> old(made.gone.begin(), made.gone.end());
  const std::set<std::shared_ptr<const T>> now(made.come.begin(), made.come.end());
  std::erase_if(made.gone, [&](const auto& one) { return now.contains(one); });
  std::erase_if(made.come, [&](const auto& one) { return old.contains(one); });
  return made;
}

template <typename T>
bool differ(const List<T>& before, const List<T>& after) {
  return !change(before, after).none();
}

// Calls `visit` with each object that is in one state and not in the other.
template <typename T, typename Visit>
void for_each(const Change<T>& change, const Visit& visit) {
  for (const auto* list : {&change.gone, &change.come})
    for (const auto& object : *list) visit(*object);
}

// Calls `visit` with the full name of each host that a route leads to.
template <typename Visit>
void for_each_destination(const VirtualService& route, const MeshConfig& mesh, const Visit& visit) {
  const auto of = [&](const auto& entries) {
    for (const auto& entry : entries)
      for (const RouteDestination& one : entry.destinations)
        visit(full_name(one.destination.host, route.meta.ns, mesh.domain));
  };
  of(route.tcp);
  of(route.tls);
  of(route.http);
}

std::vector<std::string> full_hosts(const VirtualService& route, const MeshConfig& mesh) {
  std::vector<std::string> hosts;
  for (const std::string& host : route.hosts) hosts.push_back(full_name(host, route.meta.ns, mesh.domain));
  return hosts;
}

// Adds the hosts of the registry that one of the patterns is for.
void add_matching(const Registry& registry, const std::vector<std::string>& patterns, HostSet& hosts) {
  if (patterns.empty()) return;
  for (const auto& def : registry)
    if (std::any_of(patterns.begin(), patterns.end(),
                    [&](const std::string& pattern) { return hosts_match(pattern, def->host); }))
      hosts.insert(def->host);
}

// Services and ServiceEntries that select the pod, and Services with a slice that has its address.
void add_hosts_of_pod(const Mesh& mesh, const Pod& pod, HostSet& hosts) {
  for (const auto& def : mesh.registry) {
    if (def->ns != pod.meta.ns) continue;
    const Labels* selector = nullptr;
    if (def->service && !def->service->selector.empty()) selector = &def->service->selector;
    if (def->entry && def->entry->workload_selector) selector = &*def->entry->workload_selector;
    if (selector && labels_contain(pod.meta.labels, *selector)) hosts.insert(def->host);
  }
  for (const auto& set : mesh.resources.endpoints)
    for (const auto& subset : set->subsets)
      for (const auto& address : subset.addresses)
        if (std::find(pod.ips.begin(), pod.ips.end(), address.ip) != pod.ips.end())
          hosts.insert(full_name(set->service, set->meta.ns, mesh.config->domain));
}

}  // namespace

size_t Changes::size() const {
  return services.size() + pods.size() + endpoints.size() + service_entries.size() + virtual_services.size() +
         destination_rules.size();
}

Changes changes_between(const Resources& before, const Resources& after) {
  Changes changes;
  changes.services = change(before.services, after.services);
  changes.pods = change(before.pods, after.pods);
  changes.endpoints = change(before.endpoints, after.endpoints);
  changes.service_entries = change(before.service_entries, after.service_entries);
  changes.virtual_services = change(before.virtual_services, after.virtual_services);
  changes.destination_rules = change(before.destination_rules, after.destination_rules);
  changes.sidecars = differ(before.sidecars, after.sidecars);
  changes.gateways = differ(before.gateways, after.gateways);
  changes.others = before.mesh != after.mesh || differ(before.nodes, after.nodes) ||
                   differ(before.namespaces, after.namespaces) ||
                   differ(before.workload_entries, after.workload_entries) ||
                   differ(before.k8s_gateways, after.k8s_gateways) ||
                   differ(before.k8s_routes, after.k8s_routes) ||
                   differ(before.reference_grants, after.reference_grants);
  return changes;
}

HostSet hosts_concerned(const Mesh& before, const Changes& changes) {
  const MeshConfig& config = *before.config;
  HostSet hosts;
  for_each(changes.services,
           [&](const Service& one) { hosts.insert(full_name(one.meta.name, one.meta.ns, config.domain)); });
  for_each(changes.endpoints,
           [&](const EndpointSet& one) { hosts.insert(full_name(one.service, one.meta.ns, config.domain)); });
  for_each(changes.service_entries,
           [&](const ServiceEntry& one) { hosts.insert(one.hosts.begin(), one.hosts.end()); });
  for_each(changes.pods, [&](const Pod& one) { add_hosts_of_pod(before, one, hosts); });
  for_each(changes.destination_rules, [&](const DestinationRule& one) {
    const std::string pattern = full_name(one.host, one.meta.ns, config.domain);
    hosts.insert(pattern);
    if (is_wildcard(pattern)) add_matching(before.registry, {pattern}, hosts);
  });
  std::vector<std::string> routed;
  for_each(changes.virtual_services, [&](const VirtualService& one) {
    for (std::string& host : full_hosts(one, config)) routed.push_back(std::move(host));
    // A Sidecar that imports the route imports these.
    for_each_destination(one, config, [&](std::string host) { hosts.insert(std::move(host)); });
  });
  add_matching(before.registry, routed, hosts);
  return hosts;
}

bool concerns_everything(const ProxyView& before, const Changes& changes, const Resources& after) {
  if (changes.sidecars && sidecar_for(after.sidecars, before.self.ns, before.self.labels,
                                      *before.mesh.config) != before.scope.sidecar)
    return true;
  // Every listener has a way out through the egress proxy, whose name may mean another host now.
  if (before.scope.egress_proxy) return true;
  bool own = false;
  for_each(changes.pods, [&](const Pod& pod) {
    own = own || (pod.meta.name == before.self.name && pod.meta.ns == before.self.ns);
  });
  return own;
}

HostSet hosts_routed_to(const ProxyView& view, const HostSet& hosts) {
  // An alias (ExternalName) leads on.
  const auto leads_there = [&](std::string host) {
    for (int hops = 0; hops < 32; ++hops) {
      if (hosts.contains(host)) return true;
      const auto it = view.scope.hosts.find(host);
      if (it == view.scope.hosts.end() || it->second.owner->discovery != Discovery::kAlias) return false;
      host = it->second.owner->alias_of;
    }
    return false;
  };
  std::vector<std::string> patterns;
  for (const EgressGroup& group : view.scope.groups)
    for (const auto& route : group.routes) {
      bool there = false;
      for_each_destination(*route, *view.mesh.config,
                           [&](std::string host) { there = there || leads_there(std::move(host)); });
      if (!there) continue;
      for (std::string& host : full_hosts(*route, *view.mesh.config)) patterns.push_back(std::move(host));
    }
  HostSet routed;
  add_matching(view.mesh.registry, patterns, routed);
  return routed;
}

bool out_of_sight(const ProxyView& view, const Changes& changes, const HostSet& hosts,
                  const Registry& definitions) {
  // The table of workloads has every pod, and every definition shows in a snapshot, if as one that is hidden.
  if (!changes.pods.none() || !changes.services.none() || !changes.service_entries.none()) return false;
  if (std::any_of(hosts.begin(), hosts.end(),
                  [&](const std::string& host) { return view.scope.hosts.contains(host); }))
    return false;
  std::set<const VirtualService*> routes;
  for_each(changes.virtual_services, [&](const VirtualService& one) { routes.insert(&one); });
  const auto sees = [&](const EgressGroup& group) {
    return std::any_of(group.routes.begin(), group.routes.end(),
                       [&](const auto& route) { return routes.contains(route.get()); });
  };
  if (!routes.empty() && std::any_of(view.scope.groups.begin(), view.scope.groups.end(), sees)) return false;
  // Who may not be called by the proxy may still call it.
  return std::none_of(definitions.begin(), definitions.end(),
                      [&](const auto& def) { return reaches_self(view, *def); });
}

}  // namespace sockmesh::config
