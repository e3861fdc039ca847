// Compiler: keeps the world of the last compilation. What changes often and concerns few things, endpoints
// and the readiness of pods, is patched into it; for anything else the world is made anew.
#include <algorithm>
#include <optional>
#include <set>

#include "config/clusters.h"
#include "config/snapshot_version.h"
#include "config/world_snapshot.h"

namespace sockmesh::config {

namespace {

template <typename T>
struct Change {
  std::vector<std::shared_ptr<const T>> gone, come;
};

// By identity. Almost always a short stretch differs, so the equal ends are cut off first.
template <typename T>
Change<T> changes(const List<T>& before, const List<T>& after) {
  auto [b, a] = std::mismatch(before.begin(), before.end(), after.begin(), after.end());
  auto before_end = before.end(), after_end = after.end();
  while (before_end != b && after_end != a && *std::prev(before_end) == *std::prev(after_end)) {
    --before_end;
    --after_end;
  }
  Change<T> change{{b, before_end}, {a, after_end}};
  const std::set<std::shared_ptr<const T>> old(change.gone.begin(), change.gone.end());
  const std::set<std::shared_ptr<const T>> now(change.come.begin(), change.come.end());
  std::erase_if(change.gone, [&](const auto& one) { return now.contains(one); });
  std::erase_if(change.come, [&](const auto& one) { return old.contains(one); });
  return change;
}

template <typename T>
bool same(const List<T>& before, const List<T>& after) {
  const Change<T> change = changes(before, after);
  return change.gone.empty() && change.come.empty();
}

bool same_but_endpoints_and_pods(const Resources& a, const Resources& b) {
  return a.mesh == b.mesh && same(a.services, b.services) && same(a.nodes, b.nodes) &&
         same(a.namespaces, b.namespaces) && same(a.workload_entries, b.workload_entries) &&
         same(a.service_entries, b.service_entries) && same(a.virtual_services, b.virtual_services) &&
         same(a.destination_rules, b.destination_rules) && same(a.gateways, b.gateways) &&
         same(a.sidecars, b.sidecars) && same(a.k8s_gateways, b.k8s_gateways) &&
         same(a.k8s_routes, b.k8s_routes) && same(a.reference_grants, b.reference_grants);
}

bool finished(const Pod& pod) { return pod.phase == "Succeeded" || pod.phase == "Failed"; }

bool same_ports(const Pod& a, const Pod& b) {
  return std::equal(a.ports.begin(), a.ports.end(), b.ports.begin(), b.ports.end(),
                    [](const ContainerPort& x, const ContainerPort& y) {
                      return x.name == y.name && x.port == y.port && x.protocol == y.protocol;
                    });
}

// Nothing but readiness differs between the two.
bool same_but_readiness(const Pod& a, const Pod& b) {
  return a.meta.name == b.meta.name && a.meta.ns == b.meta.ns && a.meta.labels == b.meta.labels &&
         a.meta.created == b.meta.created && a.ips == b.ips && a.node == b.node &&
         a.service_account == b.service_account && a.host_network == b.host_network &&
         a.owner_kind == b.owner_kind && a.owner_name == b.owner_name && !finished(a) && !finished(b) &&
         same_ports(a, b);
}

}  // namespace

struct Compiler::Impl {
  ProxyIdentity proxy;
  std::optional<Resources> resources;
  std::optional<World> world;  // over `resources`
  model::SnapshotPtr last;
  uint64_t sum = 0;  // of last's content

  model::SnapshotPtr all(Resources now, uint64_t generation) {
    world.reset();
    resources = std::move(now);
    world.emplace(*resources, proxy);
    auto snapshot = build_snapshot(*world);
    snapshot->generation = generation;
    sum = content_sum(*snapshot);
    last = snapshot;
    return last;
  }

  // The hosts whose endpoints the change concerns; nothing when it concerns more than clusters.
  std::optional<std::set<std::string>> hosts_of(const Change<EndpointSet>& sets,
                                                const Change<Pod>& pods) const {
    std::set<std::string> keys;  // "ns/service"
    for (const auto* list : {&sets.gone, &sets.come})
      for (const auto& set : *list) {
        keys.insert(set->meta.ns + "/" + set->service);
        for (const auto& subset : set->subsets)
          for (const auto& address : subset.addresses)
            if (std::find(world->self.ips.begin(), world->self.ips.end(), address.ip) !=
                world->self.ips.end())
              return std::nullopt;
      }
    std::set<std::string> hosts;
    for (const auto& def : world->registry) {
      bool concerned = def->service && keys.contains(def->ns + "/" + def->name);
      const Labels* selector = nullptr;
      if (def->service && !def->service->selector.empty()) selector = &def->service->selector;
      if (def->entry && def->entry->workload_selector) selector = &*def->entry->workload_selector;
      for (const auto& pod : pods.come)
        concerned =
            concerned || (selector && def->ns == pod->meta.ns && labels_contain(pod->meta.labels, *selector));
      if (!concerned) continue;
      if (def->headless()) return std::nullopt;  // a listener for each endpoint
      hosts.insert(def->host);
    }
    return hosts;
  }

  // Every cluster that the host may have under its rule, by name.
  std::vector<std::string> cluster_names(const Scope::Host& host) const {
    std::vector<std::string> names;
    const MergedRule* rule = world->rule_for(host);
    for (const auto& def : host.defs)
      for (const RegistryPort& port : def->ports) {
        names.push_back(outbound_cluster_name(port.port, "", host.owner->host));
        if (rule)
          for (const Subset* subset : rule->subsets)
            names.push_back(outbound_cluster_name(port.port, subset->name, host.owner->host));
      }
    return names;
  }

  // Null when the change is of another kind.
  model::SnapshotPtr endpoints_only(const Resources& now) {
    if (!same_but_endpoints_and_pods(*resources, now) || world->self.gateway) return nullptr;
    const Change<EndpointSet> sets = changes(resources->endpoints, now.endpoints);
    const Change<Pod> pods = changes(resources->pods, now.pods);
    if (sets.gone.empty() && sets.come.empty() && pods.gone.empty() && pods.come.empty()) return last;
    if (pods.gone.size() != pods.come.size()) return nullptr;
    for (size_t i = 0; i < pods.gone.size(); ++i)
      if (!same_but_readiness(*pods.gone[i], *pods.come[i]) || pods.gone[i] == world->self.pod)
        return nullptr;
    const auto hosts = hosts_of(sets, pods);
    if (!hosts) return nullptr;

    for (const auto& set : sets.gone) world->index.replace_endpoints(set.get(), nullptr);
    for (const auto& set : sets.come) world->index.replace_endpoints(nullptr, set.get());
    for (size_t i = 0; i < pods.gone.size(); ++i) world->index.replace_pod(*pods.gone[i], *pods.come[i]);
    resources->endpoints = now.endpoints;
    resources->pods = now.pods;

    auto snapshot = std::make_shared<model::Snapshot>(*last);
    ++snapshot->generation;
    for (const std::string& name : *hosts) {
      const auto host = world->scope.hosts.find(name);
      if (host == world->scope.hosts.end()) continue;
      for (const std::string& cluster : cluster_names(host->second))
        if (const auto it = snapshot->clusters.find(cluster); it != snapshot->clusters.end()) {
          sum -= content_part(*it->second);
          snapshot->clusters.erase(it);
        }
      for (auto& cluster : build_clusters(*world, host->second)) {
        sum += content_part(*cluster);
        snapshot->clusters.insert_or_assign(cluster->name, cluster);
      }
    }
    snapshot->version = version_text(sum);
    last = std::move(snapshot);
    return last;
  }
};

Compiler::Compiler(ProxyIdentity proxy) : impl_(std::make_unique<Impl>()) { impl_->proxy = std::move(proxy); }
Compiler::~Compiler() = default;

model::SnapshotPtr Compiler::compile(Resources resources) {
  if (!impl_->last) return impl_->all(std::move(resources), 1);
  if (auto snapshot = impl_->endpoints_only(resources)) return snapshot;
  return impl_->all(std::move(resources), impl_->last->generation + 1);
}

}  // namespace sockmesh::config
