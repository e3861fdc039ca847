#include "config/compiler/proxy_compilation.h"

#include <utility>

#include "config/compiler/clusters.h"
#include "config/compiler/inbound.h"
#include "model/snapshot_version.h"

namespace sockmesh::config {

namespace {

// Every cluster that the hosts may have under their rules, by name.
std::vector<Text> cluster_names(const ProxyView& view, const HostSet& hosts) {
  std::vector<Text> names;
  for (const std::string& name : hosts) {
    const auto host = view.scope.hosts.find(name);
    if (host == view.scope.hosts.end()) continue;
    const MergedRule* rule = view.rule_for(host->second);
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

}  // namespace

void ProxyCompilation::make(const Mesh& mesh) {
  view_.reset();
  view_.emplace(mesh, identity_);
  built_ = build_snapshot(*view_);
  built_.snapshot->generation = ++generation_;
}

void ProxyCompilation::forget() {
  view_.reset();
  built_ = {};
}

void ProxyCompilation::prepare(const FewChanges& few, const Resources& after) {
  if (!in_step()) return;
  if (view_->self.gateway || concerns_everything(*view_, few.changes, after)) return forget();
  HostSet routed = hosts_routed_to(*view_, few.hosts);
  if (few.hosts.size() + routed.size() > kFew) return forget();
  prepared_.unseen = out_of_sight(*view_, few.changes, few.hosts, few.definitions);
  routed.insert(few.hosts.begin(), few.hosts.end());
  prepared_.addresses = outbound_addresses(*view_, routed);
  prepared_.routed = std::move(routed);
  prepared_.clusters = cluster_names(*view_, few.hosts);
}

void ProxyCompilation::follow(const FewChanges& few) {
  if (!in_step()) return;
  Prepared before = std::exchange(prepared_, {});
  view_->follow(few.hosts, few.definitions);
  if (before.unseen && out_of_sight(*view_, few.changes, few.hosts, few.definitions)) return;

  before.routed.merge(hosts_routed_to(*view_, few.hosts));
  // Another service may have come under a route that was there before.
  before.addresses.merge(outbound_addresses(*view_, before.routed));

  built_.snapshot = std::make_shared<model::Snapshot>(*built_.snapshot);
  model::Snapshot& snapshot = *built_.snapshot;
  Inbound inbound = build_inbound(*view_);
  Patch patch(built_);
  patch.erase_clusters(before.clusters);
  patch.erase_clusters(built_.inbound_clusters);
  for (const std::string& host : few.hosts)
    if (const auto it = view_->scope.hosts.find(host); it != view_->scope.hosts.end())
      patch.add_clusters(build_clusters(*view_, it->second));
  patch.add_clusters(inbound.clusters);
  built_.inbound_clusters.clear();
  for (const auto& cluster : inbound.clusters) built_.inbound_clusters.push_back(cluster->name);

  std::vector<model::ListenerPtr> others = std::move(inbound.listeners);
  others.insert(others.begin(), build_virtual_outbound(*view_));
  patch.replace_listeners(before.addresses, build_outbound(*view_, &before.addresses), std::move(others));

  snapshot.findings = built_.lasting_findings;
  for (auto& finding : outbound_findings(*view_)) snapshot.findings.push_back(std::move(finding));
  for (const auto& [address, finding] : built_.refused) snapshot.findings.push_back(finding);
  snapshot.workloads = view_->mesh.workloads;
  snapshot.version = built_.sum.version();
  snapshot.index();
  snapshot.generation = ++generation_;
}

}  // namespace sockmesh::config
