#include "config/compiler/world.h"

#include <algorithm>
#include <set>

namespace sockmesh::config {

namespace {

std::shared_ptr<const MeshConfig> mesh_of(const Resources& resources) {
  return resources.mesh ? resources.mesh : std::make_shared<const MeshConfig>();
}

Registry registry_of(const Resources& resources, const MeshConfig& mesh) {
  Registry registry;
  registry.reserve(resources.services.size() + resources.service_entries.size());
  // Origins outlive the registry, in the snapshot: made first they do not keep its memory from being given
  // back.
  std::vector<model::OriginPtr> origins;
  origins.reserve(resources.services.size());
  for (const auto& service : resources.services) origins.push_back(service->meta.origin());
  for (size_t i = 0; i < origins.size(); ++i)
    registry.push_back(define(resources.services[i], mesh, std::move(origins[i])));
  for (const auto& entry : resources.service_entries)
    for (auto& def : define(entry, mesh)) registry.push_back(std::move(def));
  std::sort(registry.begin(), registry.end(), precedes);
  return registry;
}

template <typename T>
List<T> joined(const List<T>& a, const List<T>& b) {
  List<T> all = a;
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

}  // namespace

World::World(const Resources& all, const ProxyIdentity& who)
    : resources(all),
      mesh(mesh_of(all)),
      index(all),
      rules(all.destination_rules, *mesh),
      registry(registry_of(all, *mesh)),
      identity(who),
      self(self_of(all, index, who)),
      gateway_api(translate_gateway_api(all, self, *mesh)),
      gateways(joined(all.gateways, gateway_api.gateways)),
      scope(scope_for(registry, joined(all.virtual_services, gateway_api.routes), all.sidecars, *mesh, self)),
      as_of_1_5(mesh->compatibility_version == "1.5") {}

void World::follow(const Changes& changes, const Resources& now, const HostSet& hosts) {
  for (const auto& set : changes.endpoints.gone) index.remove(*set);
  for (const auto& set : changes.endpoints.come) index.add(*set);
  for (const auto& pod : changes.pods.gone) index.remove(*pod, now.pods);
  for (const auto& pod : changes.pods.come) index.add(*pod);
  if (!changes.destination_rules.none()) rules = DestinationRules(now.destination_rules, *mesh);

  std::set<const void*> gone;
  for (const auto& service : changes.services.gone) gone.insert(service.get());
  for (const auto& entry : changes.service_entries.gone) gone.insert(entry.get());
  if (!gone.empty())
    std::erase_if(registry, [&](const auto& def) {
      return def->service ? gone.contains(def->service.get()) : gone.contains(def->entry.get());
    });
  const auto add = [&](ServiceDefPtr def) {
    registry.insert(std::upper_bound(registry.begin(), registry.end(), def, precedes), std::move(def));
  };
  for (const auto& service : changes.services.come) add(define(service, *mesh));
  for (const auto& entry : changes.service_entries.come)
    for (auto& def : define(entry, *mesh)) add(std::move(def));

  Registry concerned;
  for (const auto& def : registry)
    if (hosts.contains(def->host)) concerned.push_back(def);
  replace_hosts(
      scope, hosts,
      scope_for(concerned, joined(now.virtual_services, gateway_api.routes), now.sidecars, *mesh, self));
}

const MergedRule* World::rule_for(const Scope::Host& host) const {
  return rules.find(self.ns, self.labels, host.owner->host, host.owner->ns);
}

std::vector<SocketAddress> World::wildcards(uint16_t port) const {
  std::vector<SocketAddress> addresses;
  if (self.v4) addresses.push_back({IpAddress::any(false), port});
  if (self.v6) addresses.push_back({IpAddress::any(true), port});
  if (self.v4 && self.v6 && !self.ips.empty() && self.ips.front().is_v6())
    std::swap(addresses[0], addresses[1]);
  return addresses;
}

}  // namespace sockmesh::config
