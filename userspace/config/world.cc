#include "config/world.h"

#include <algorithm>

namespace sockmesh::config {

namespace {

std::shared_ptr<const MeshConfig> mesh_of(const Resources& resources) {
  return resources.mesh ? resources.mesh : std::make_shared<const MeshConfig>();
}

Registry registry_of(const Resources& resources, const MeshConfig& mesh) {
  Registry registry;
  registry.reserve(resources.services.size() + resources.service_entries.size());
  for (const auto& service : resources.services) registry.push_back(define(service, mesh));
  for (const auto& entry : resources.service_entries)
    for (auto& def : define(entry, mesh)) registry.push_back(std::move(def));
  std::sort(registry.begin(), registry.end(), [](const auto& a, const auto& b) {
    if (older(*a, *b) || older(*b, *a)) return older(*a, *b);
    return a->origin->name < b->origin->name;  // two ServiceEntries of one host, age and namespace
  });
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
