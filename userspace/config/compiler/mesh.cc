#include "config/compiler/mesh.h"

#include <algorithm>
#include <set>

#include "config/resources/age.h"

namespace sockmesh::config {

namespace {

std::shared_ptr<const MeshConfig> config_of(const Resources& resources) {
  return resources.mesh ? resources.mesh : std::make_shared<const MeshConfig>();
}

Registry registry_of(const Resources& resources, const MeshConfig& config) {
  Registry registry;
  registry.reserve(resources.services.size() + resources.service_entries.size());
  // Origins outlive the registry, in the snapshot: made first they do not keep its memory from being given
  // back.
  std::vector<model::OriginPtr> origins;
  origins.reserve(resources.services.size());
  for (const auto& service : resources.services) origins.push_back(service->meta.origin());
  for (size_t i = 0; i < origins.size(); ++i)
    registry.push_back(define(resources.services[i], config, std::move(origins[i])));
  for (const auto& entry : resources.service_entries)
    for (auto& def : define(entry, config)) registry.push_back(std::move(def));
  std::sort(registry.begin(), registry.end(), precedes);
  return registry;
}

// Routes that one Gateway API route amounts to are of one age, and stay in their order.
List<VirtualService> by_age(const List<VirtualService>& own, const List<VirtualService>& generated) {
  List<VirtualService> all;
  all.reserve(own.size() + generated.size());
  all.insert(all.end(), own.begin(), own.end());
  all.insert(all.end(), generated.begin(), generated.end());
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return age(a->meta) < age(b->meta); });
  return all;
}

std::shared_ptr<const model::WorkloadTable> workload_table(const ResourceIndex& index) {
  auto table = std::make_shared<model::WorkloadTable>();
  table->reserve(index.pods_by_address().size());
  for (const auto& [ip, pod] : index.pods_by_address()) table->emplace(ip, index.workload_of(*pod));
  return table;
}

// Snapshots have the table as it was before: a copy follows.
std::shared_ptr<const model::WorkloadTable> follow_pods(const ResourceIndex& index,
                                                        const model::WorkloadTable& before,
                                                        const Change<Pod>& pods) {
  auto table = std::make_shared<model::WorkloadTable>(before);
  for (const auto* list : {&pods.gone, &pods.come})
    for (const auto& pod : *list)
      for (const IpAddress& ip : pod->ips) {
        const auto it = table->find(ip);
        if (const Pod* there = index.pod_at(ip)) {
          table->insert_or_assign(ip, index.workload_of(*there));
        } else if (it != table->end()) {
          table->erase(it);
        }
      }
  return table;
}

}  // namespace

Mesh::Mesh(Resources all)
    : resources(std::move(all)),
      config(config_of(resources)),
      index(resources),
      rules(resources.destination_rules, *config),
      registry(registry_of(resources, *config)),
      gateway_api(translate_routes(resources, *config)),
      routes(by_age(resources.virtual_services, gateway_api.routes)),
      workloads(workload_table(index)),
      as_of_1_5(config->compatibility_version == "1.5") {}

void Mesh::follow(const Changes& changes, Resources now) {
  for (const auto& set : changes.endpoints.gone) index.remove(*set);
  for (const auto& set : changes.endpoints.come) index.add(*set);
  for (const auto& pod : changes.pods.gone) index.remove(*pod, now.pods);
  for (const auto& pod : changes.pods.come) index.add(*pod);
  if (!changes.pods.none()) workloads = follow_pods(index, *workloads, changes.pods);
  if (!changes.destination_rules.none()) rules = DestinationRules(now.destination_rules, *config);
  if (!changes.virtual_services.none()) routes = by_age(now.virtual_services, gateway_api.routes);

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
  for (const auto& service : changes.services.come) add(define(service, *config));
  for (const auto& entry : changes.service_entries.come)
    for (auto& def : define(entry, *config)) add(std::move(def));
  resources = std::move(now);
}

Registry Mesh::definitions_of(const HostSet& hosts) const {
  Registry found;
  for (const auto& def : registry)
    if (hosts.contains(def->host)) found.push_back(def);
  return found;
}

}  // namespace sockmesh::config
