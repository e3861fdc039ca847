// Compiler: keeps the world of the last compilation. When few objects changed the world follows them, what
// the hosts concerned have in the snapshot is made anew by the same steps as in a full compilation, and the
// rest is shared. Changes that concern everything, and gateways, are compiled in full.
#include <optional>

#include "config/compiler/clusters.h"
#include "config/compiler/compiler.h"
#include "config/compiler/inbound.h"
#include "config/compiler/outbound.h"
#include "config/compiler/world_snapshot.h"
#include "model/snapshot_version.h"

namespace sockmesh::config {

namespace {

// Beyond so many objects or hosts a full compilation is faster.
constexpr size_t kFew = 500;

// Every cluster that the hosts may have under their rules, by name.
std::vector<Text> cluster_names(const World& world, const HostSet& hosts) {
  std::vector<Text> names;
  for (const std::string& name : hosts) {
    const auto host = world.scope.hosts.find(name);
    if (host == world.scope.hosts.end()) continue;
    const MergedRule* rule = world.rule_for(host->second);
    for (const auto& def : host->second.defs)
      for (const RegistryPort& port : def->ports) {
        names.emplace_back(outbound_cluster_name(port.port, "", name));
        if (rule)
          for (const Subset* subset : rule->subsets)
            names.emplace_back(outbound_cluster_name(port.port, subset->name, name));
      }
  }
  return names;
}

// Takes parts out of a built snapshot and puts others in, and keeps its sum.
class Patch {
 public:
  explicit Patch(Built& built) : built_(built), snapshot_(*built.snapshot) {}

  void erase_clusters(const std::vector<Text>& names) {
    for (const Text& name : names)
      if (const auto it = snapshot_.clusters.find(name); it != snapshot_.clusters.end()) {
        built_.sum.remove(content_part(*it->second));
        snapshot_.clusters.erase(it);
      }
  }

  void add_clusters(const std::vector<model::ClusterPtr>& clusters) {
    for (const auto& cluster : clusters)
      if (snapshot_.clusters.emplace(cluster->name, cluster).second) built_.sum.add(content_part(*cluster));
  }

  // `made` is what build_outbound has for the addresses.
  void replace_listeners(const AddressSet& addresses, std::vector<ListenerDrafts::Finished> made,
                         std::vector<model::ListenerPtr> others) {
    const auto before = std::exchange(snapshot_.listeners, {});
    snapshot_.listeners.reserve(before.size() + made.size());
    auto old = before.begin();
    const auto old_end = old + static_cast<std::ptrdiff_t>(built_.outbound);
    auto now = made.begin();
    for (const SocketAddress& address : addresses) {
      for (; old != old_end && (*old)->addresses.front() < address; ++old)
        snapshot_.listeners.push_back(*old);
      if (old != old_end && (*old)->addresses.front() == address) built_.sum.remove(content_part(**old++));
      built_.refused.erase(address);
      if (now == made.end() || now->at != address) continue;
      if (now->listener) {
        add(std::move(now->listener));
      } else {
        built_.refused.emplace(address, *now->refusal);
      }
      ++now;
    }
    snapshot_.listeners.insert(snapshot_.listeners.end(), old, old_end);
    built_.outbound = snapshot_.listeners.size();
    for (old = old_end; old != before.end(); ++old) built_.sum.remove(content_part(**old));
    for (auto& listener : others) add(std::move(listener));
  }

 private:
  void add(model::ListenerPtr listener) {
    built_.sum.add(content_part(*listener));
    snapshot_.listeners.push_back(std::move(listener));
  }

  Built& built_;
  model::Snapshot& snapshot_;
};

std::shared_ptr<const model::WorkloadTable> follow_pods(const World& world,
                                                        const model::WorkloadTable& before,
                                                        const Change<Pod>& pods) {
  auto table = std::make_shared<model::WorkloadTable>(before);
  for (const auto* list : {&pods.gone, &pods.come})
    for (const auto& pod : *list)
      for (const IpAddress& ip : pod->ips) {
        const auto it = table->find(ip);
        if (const Pod* there = world.index.pod_at(ip)) {
          table->insert_or_assign(ip, world.index.workload_of(*there));
        } else if (it != table->end()) {
          table->erase(it);
        }
      }
  return table;
}

}  // namespace

struct Compiler::Impl {
  ProxyIdentity proxy;
  std::optional<Resources> resources;
  std::optional<World> world;  // over `resources`
  Built last;
  uint64_t generation = 0;  // of the last snapshot

  void all(Resources now) {
    world.reset();
    resources = std::move(now);
    world.emplace(*resources, proxy);
    last = build_snapshot(*world);
  }

  void forget() {
    world.reset();
    resources.reset();
    last = {};
  }

  // Takes `now`, or returns false when there are too many changes for it, or too far-reaching ones.
  bool follow(Resources& now, const Changes& changes) {
    if (changes.size() > kFew || world->self.gateway || concerns_everything(*world, changes, now))
      return false;
    HostSet hosts = hosts_concerned(*world, changes);
    HostSet routed = hosts_routed_to(*world, hosts);
    if (hosts.size() + routed.size() > kFew) return false;
    routed.insert(hosts.begin(), hosts.end());
    AddressSet addresses = outbound_addresses(*world, routed);
    const std::vector<Text> old_clusters = cluster_names(*world, hosts);

    world->follow(changes, now, hosts);
    resources = std::move(now);

    routed.merge(hosts_routed_to(*world, hosts));
    // Another service may have come under a route that was there before.
    addresses.merge(outbound_addresses(*world, routed));

    last.snapshot = std::make_shared<model::Snapshot>(*last.snapshot);
    model::Snapshot& snapshot = *last.snapshot;
    Inbound inbound = build_inbound(*world);
    Patch patch(last);
    patch.erase_clusters(old_clusters);
    patch.erase_clusters(last.inbound_clusters);
    for (const std::string& host : hosts)
      if (const auto it = world->scope.hosts.find(host); it != world->scope.hosts.end())
        patch.add_clusters(build_clusters(*world, it->second));
    patch.add_clusters(inbound.clusters);
    last.inbound_clusters.clear();
    for (const auto& cluster : inbound.clusters) last.inbound_clusters.push_back(cluster->name);

    std::vector<model::ListenerPtr> others = std::move(inbound.listeners);
    others.insert(others.begin(), build_virtual_outbound(*world));
    patch.replace_listeners(addresses, build_outbound(*world, &addresses), std::move(others));

    snapshot.findings = world->gateway_api.findings;
    for (auto& finding : outbound_findings(*world)) snapshot.findings.push_back(std::move(finding));
    for (const auto& [address, finding] : last.refused) snapshot.findings.push_back(finding);
    if (!changes.pods.none()) snapshot.workloads = follow_pods(*world, *snapshot.workloads, changes.pods);
    snapshot.version = last.sum.version();
    snapshot.index();
    return true;
  }
};

Compiler::Compiler(ProxyIdentity proxy) : impl_(std::make_unique<Impl>()) { impl_->proxy = std::move(proxy); }
Compiler::~Compiler() = default;

model::SnapshotPtr Compiler::compile(Resources resources, Keep keep) {
  Impl& impl = *impl_;
  if (!impl.resources || keep == Keep::kNothing) {
    impl.all(std::move(resources));
  } else {
    const Changes changes = changes_between(*impl.resources, resources);
    if (changes.none()) return impl.last.snapshot;
    if (!impl.follow(resources, changes)) impl.all(std::move(resources));
  }
  impl.last.snapshot->generation = ++impl.generation;
  const model::SnapshotPtr made = impl.last.snapshot;
  if (keep == Keep::kNothing) impl.forget();
  return made;
}

}  // namespace sockmesh::config
