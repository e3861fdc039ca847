#include "config/registry/resource_index.h"

#include <algorithm>

#include "base/arithmetic.h"
#include "base/strings.h"
#include "config/resources/age.h"

namespace sockmesh::config {

namespace {

SOCKMESH_WRAPS uint64_t mix(uint64_t a, uint64_t b) { return (a ^ b) * 0x9e3779b97f4a7c15ull + (a >> 29); }

uint64_t label_key(std::string_view ns, std::string_view key, std::string_view value) {
  const std::hash<std::string_view> hash;
  return mix(mix(hash(ns), hash(key)), hash(value));
}

const std::string& label_or_empty(const Labels& labels, const char* key) {
  static const std::string empty;
  const auto it = labels.find(key);
  return it == labels.end() ? empty : it->second;
}

std::string first_label(const Labels& labels, std::initializer_list<const char*> keys,
                        std::string otherwise) {
  for (const char* key : keys)
    if (const std::string& value = label_or_empty(labels, key); !value.empty()) return value;
  return otherwise;
}

// The order of pods_by_label_.
bool by_label(const std::pair<uint64_t, const Pod*>& a, const std::pair<uint64_t, const Pod*>& b) {
  return a.first != b.first ? a.first < b.first : a.second->meta.name < b.second->meta.name;
}

bool is_slice(const EndpointSet& set) { return set.meta.kind == "EndpointSlice"; }

}  // namespace

bool finished(const Pod& pod) { return pod.phase == "Succeeded" || pod.phase == "Failed"; }

bool labels_contain(const Labels& labels, const Labels& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& want) {
    const auto it = labels.find(want.first);
    return it != labels.end() && it->second == want.second;
  });
}

model::Locality parse_locality(std::string_view text) {
  model::Locality locality;
  const auto parts = split(text, '/');
  if (!parts.empty()) locality.region = parts[0];
  if (parts.size() > 1) locality.zone = parts[1];
  if (parts.size() > 2) locality.subzone = parts[2];
  return locality;
}

model::Workload describe(const Pod& pod) {
  const Labels& labels = pod.meta.labels;
  model::Workload workload;
  workload.name = pod.owner_name.empty() ? pod.meta.name : pod.owner_name;
  const std::string& hash = label_or_empty(labels, "pod-template-hash");
  if (pod.owner_kind == "ReplicaSet" && !hash.empty() && workload.name.ends_with("-" + hash))
    workload.name.resize(workload.name.size() - hash.size() - 1);
  workload.ns = pod.meta.ns;
  workload.app = first_label(labels, {"app", "app.kubernetes.io/name"}, "");
  workload.version = first_label(labels, {"version", "app.kubernetes.io/version"}, "");
  workload.canonical_service = first_label(
      labels, {"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"}, workload.name);
  workload.canonical_revision = first_label(
      labels, {"service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"}, "latest");
  workload.service_account = pod.service_account;
  return workload;
}

ResourceIndex::ResourceIndex(const Resources& resources) {
  for (const auto& set : resources.endpoints) add(*set);
  pods_by_address_.reserve(resources.pods.size());
  for (const auto& pod : resources.pods) {
    add_addresses(*pod);
    for (const auto& [key, value] : pod->meta.labels)
      pods_by_label_.emplace_back(label_key(pod->meta.ns, key, value), pod.get());
  }
  std::sort(pods_by_label_.begin(), pods_by_label_.end(), by_label);
  for (const auto& entry : resources.workload_entries) entries_[entry->meta.ns].push_back(entry.get());
  for (auto& [ns, entries] : entries_)
    std::sort(entries.begin(), entries.end(),
              [](const auto* a, const auto* b) { return a->meta.name < b->meta.name; });
  for (const auto& node : resources.nodes) nodes_.emplace(node->meta.name, node.get());
}

void ResourceIndex::add(const EndpointSet& set) {
  if (!set.fqdn) endpoints_[set.meta.ns + "/" + set.service].push_back(&set);
}

void ResourceIndex::remove(const EndpointSet& set) {
  if (set.fqdn) return;
  const auto it = endpoints_.find(set.meta.ns + "/" + set.service);
  std::erase(it->second, &set);
  if (it->second.empty()) endpoints_.erase(it);
}

void ResourceIndex::add_addresses(const Pod& pod) {
  if (finished(pod) || pod.host_network) return;
  for (const IpAddress& ip : pod.ips) {
    // Two pods cannot share an address; while one replaces the other the younger has it.
    const auto [it, added] = pods_by_address_.emplace(ip, &pod);
    if (!added && age(it->second->meta) < age(pod.meta)) it->second = &pod;
  }
}

void ResourceIndex::add(const Pod& pod) {
  add_addresses(pod);
  for (const auto& [key, value] : pod.meta.labels) {
    const std::pair<uint64_t, const Pod*> entry{label_key(pod.meta.ns, key, value), &pod};
    pods_by_label_.insert(std::upper_bound(pods_by_label_.begin(), pods_by_label_.end(), entry, by_label),
                          entry);
  }
}

void ResourceIndex::remove(const Pod& pod, const List<Pod>& others) {
  bool had_address = false;
  for (const IpAddress& ip : pod.ips)
    if (const auto it = pods_by_address_.find(ip); it != pods_by_address_.end() && it->second == &pod) {
      pods_by_address_.erase(it);
      had_address = true;
    }
  if (had_address)
    for (const auto& other : others)
      if (std::any_of(other->ips.begin(), other->ips.end(), [&](const IpAddress& ip) {
            return std::find(pod.ips.begin(), pod.ips.end(), ip) != pod.ips.end();
          }))
        add_addresses(*other);
  for (const auto& [key, value] : pod.meta.labels) {
    const std::pair<uint64_t, const Pod*> entry{label_key(pod.meta.ns, key, value), &pod};
    const auto range = std::equal_range(pods_by_label_.begin(), pods_by_label_.end(), entry, by_label);
    pods_by_label_.erase(std::remove(range.first, range.second, entry), range.second);
  }
  workloads_.erase(&pod);
}

std::vector<const EndpointSet*> ResourceIndex::endpoints_of(const std::string& ns,
                                                            const std::string& service) const {
  const auto it = endpoints_.find(ns + "/" + service);
  if (it == endpoints_.end()) return {};
  std::vector<const EndpointSet*> sets = it->second;
  if (std::any_of(sets.begin(), sets.end(), [](const auto* set) { return is_slice(*set); }))
    std::erase_if(sets, [](const auto* set) { return !is_slice(*set); });
  return sets;
}

bool ResourceIndex::has_endpoints(const std::string& ns, const std::string& service) const {
  return endpoints_.contains(ns + "/" + service);
}

std::vector<const Pod*> ResourceIndex::select_pods(const std::string& ns, const Labels& selector) const {
  using Entry = std::pair<uint64_t, const Pod*>;
  const auto less = [](const Entry& a, const Entry& b) { return a.first < b.first; };
  auto best = std::make_pair(pods_by_label_.end(), pods_by_label_.end());
  bool first = true;
  for (const auto& [key, value] : selector) {
    const auto range = std::equal_range(pods_by_label_.begin(), pods_by_label_.end(),
                                        Entry{label_key(ns, key, value), nullptr}, less);
    if (first || range.second - range.first < best.second - best.first) best = range;
    first = false;
  }
  std::vector<const Pod*> pods;
  for (auto it = best.first; it != best.second; ++it)
    if (it->second->meta.ns == ns && labels_contain(it->second->meta.labels, selector))
      pods.push_back(it->second);
  return pods;
}

const Pod* ResourceIndex::pod_at(const IpAddress& ip) const {
  const auto it = pods_by_address_.find(ip);
  return it == pods_by_address_.end() ? nullptr : it->second;
}

std::vector<const WorkloadEntry*> ResourceIndex::select_entries(const std::string& ns,
                                                                const Labels& selector) const {
  std::vector<const WorkloadEntry*> selected;
  if (const auto it = entries_.find(ns); it != entries_.end())
    for (const WorkloadEntry* entry : it->second)
      if (labels_contain(entry->spec.labels, selector) || labels_contain(entry->meta.labels, selector))
        selected.push_back(entry);
  return selected;
}

std::shared_ptr<const model::Locality> ResourceIndex::locality_of(const Pod& pod) const {
  std::string label = first_label(pod.meta.labels, {"topology.istio.io/locality", "istio-locality"}, "");
  if (label.empty()) return locality_of_node(pod.node);
  // Label values cannot hold slashes.
  if (label.find('/') == std::string::npos) std::replace(label.begin(), label.end(), '.', '/');
  auto& made = localities_["label " + label];
  if (!made) made = std::make_shared<const model::Locality>(parse_locality(label));
  return made;
}

std::shared_ptr<const model::Locality> ResourceIndex::locality_of_node(const std::string& name) const {
  const auto it = nodes_.find(name);
  if (it == nodes_.end()) return nullptr;
  const Labels& labels = it->second->meta.labels;
  const model::Locality place{
      first_label(labels, {"topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"}, ""),
      first_label(labels, {"topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"}, ""),
      first_label(labels, {"topology.istio.io/subzone"}, "")};
  if (place == model::Locality{}) return nullptr;
  auto& made = localities_["place " + place.region + "/" + place.zone + "/" + place.subzone];
  if (!made) made = std::make_shared<const model::Locality>(place);
  return made;
}

model::WorkloadPtr ResourceIndex::workload_of(const Pod& pod) const {
  auto& made = workloads_[&pod];
  if (made) return made;
  model::Workload workload = describe(pod);
  std::string text;
  for (const std::string* part :
       {&workload.name, &workload.ns, &workload.app, &workload.version, &workload.canonical_service,
        &workload.canonical_revision, &workload.service_account})
    text.append(*part).push_back('\0');
  auto& shared = workloads_by_text_[text];
  if (!shared) shared = std::make_shared<const model::Workload>(std::move(workload));
  made = shared;
  return made;
}

}  // namespace sockmesh::config
