#include "config/compiler/locality.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/strings.h"

namespace sockmesh::config {

namespace {

const model::Locality kNowhere;

const model::Locality& place_of(const Candidate& candidate) {
  return candidate.endpoint.locality ? *candidate.endpoint.locality : kNowhere;
}

// "region/zone/subzone", each part "*" or absent for any.
bool within(const model::Locality& place, std::string_view rule) {
  const auto parts = split(rule, '/');
  const auto part = [&](size_t i, const std::string& value) {
    return i >= parts.size() || parts[i] == "*" || (i > 0 && parts[i].empty()) || parts[i] == value;
  };
  return part(0, place.region) && part(1, place.zone) && part(2, place.subzone);
}

uint16_t distance(const model::Locality& from, const model::Locality& to) {
  if (from.region != to.region) return 3;
  if (from.zone != to.zone) return 2;
  return from.subzone != to.subzone ? 1 : 0;
}

// Priorities without gaps, which is what Envoy wants.
void renumber(std::vector<Candidate>& candidates) {
  std::set<uint16_t> used;
  for (const Candidate& one : candidates) used.insert(one.endpoint.priority);
  for (Candidate& one : candidates)
    one.endpoint.priority =
        static_cast<uint16_t>(std::distance(used.begin(), used.find(one.endpoint.priority)));
}

std::string label_value(const std::string& key, const Labels* labels, const model::Locality& place,
                        const std::string& node) {
  if (labels)
    if (const auto it = labels->find(key); it != labels->end()) return it->second;
  if (key == "topology.kubernetes.io/region") return place.region;
  if (key == "topology.kubernetes.io/zone") return place.zone;
  if (key == "topology.istio.io/subzone") return place.subzone;
  if (key == "kubernetes.io/hostname") return node;
  return "";
}

// The more labels agree, from the first on, the better.
void by_labels(const std::vector<std::string>& keys, const LocalityView& view,
               std::vector<Candidate>& candidates) {
  for (Candidate& one : candidates) {
    size_t agreed = 0;
    for (const std::string& wanted : keys) {
      const size_t equals = wanted.find('=');
      const std::string key = wanted.substr(0, equals);
      const std::string mine = equals == std::string::npos
                                   ? label_value(key, view.labels, *view.place, view.node)
                                   : wanted.substr(equals + 1);
      if (mine != label_value(key, one.labels, place_of(one), one.node)) break;
      ++agreed;
    }
    one.endpoint.priority = static_cast<uint16_t>(keys.size() - agreed);
  }
  renumber(candidates);
}

void by_distance(const std::vector<TrafficPolicy::LoadBalancer::Failover>& failover,
                 const model::Locality& from, std::vector<Candidate>& candidates) {
  const auto rule =
      std::find_if(failover.begin(), failover.end(), [&](const auto& f) { return f.from == from.region; });
  for (Candidate& one : candidates) {
    uint16_t priority = distance(from, place_of(one));
    if (priority == 3 && rule != failover.end() && place_of(one).region != rule->to) priority = 4;
    one.endpoint.priority = priority;
  }
  renumber(candidates);
}

std::vector<model::LocalityWeight> by_share(const std::map<std::string, uint32_t>& to,
                                            std::vector<Candidate>& candidates) {
  std::map<model::Locality, uint64_t> places;
  for (const Candidate& one : candidates) places[place_of(one)] += one.endpoint.weight;
  std::map<model::Locality, uint32_t> shares;
  for (const auto& [rule, percent] : to) {
    uint64_t total = 0;
    std::vector<model::Locality> members;
    for (const auto& [place, weight] : places)
      if (!shares.contains(place) && within(place, rule)) {
        members.push_back(place);
        total += weight;
      }
    for (const auto& place : members)
      shares[place] = static_cast<uint32_t>(
          std::ceil(static_cast<double>(places[place]) * percent / static_cast<double>(total)));
  }
  std::erase_if(candidates, [&](const Candidate& one) { return !shares.contains(place_of(one)); });
  std::vector<model::LocalityWeight> weights;
  weights.reserve(shares.size());
  for (const auto& [place, share] : shares) weights.push_back({place, share});
  return weights;
}

}  // namespace

LocalitySetting locality_setting(const TrafficPolicy::LoadBalancer* rule, const Service* service,
                                 const MeshConfig& mesh) {
  LocalitySetting setting;
  const bool in_rule = rule && (rule->locality_enabled || !rule->distribute.empty() ||
                                !rule->failover.empty() || !rule->failover_priority.empty());
  if (in_rule) {
    setting.enabled = rule->locality_enabled.value_or(true);
    setting.distribute = rule->distribute;
    setting.failover = rule->failover;
    setting.failover_priority = rule->failover_priority;
    return setting;
  }
  const std::string& wish = service ? service->traffic_distribution : std::string();
  if (wish == "PreferClose" || wish == "PreferSameZone" || wish == "PreferSameNode") {
    setting.needs_outlier = false;
    setting.failover_priority = {"topology.istio.io/network", "topology.kubernetes.io/region",
                                 "topology.kubernetes.io/zone", "topology.istio.io/subzone"};
    if (wish == "PreferSameNode") setting.failover_priority.push_back("kubernetes.io/hostname");
    return setting;
  }
  setting.enabled = mesh.locality_enabled.value_or(true);
  setting.distribute = mesh.distribute;
  setting.failover = mesh.failover;
  setting.failover_priority = mesh.failover_priority;
  return setting;
}

std::vector<model::LocalityWeight> apply_locality(const LocalitySetting& setting, bool has_outlier,
                                                  const LocalityView& view,
                                                  std::vector<Candidate>& candidates) {
  if (!view.place || !setting.enabled || candidates.empty()) return {};
  if (!setting.distribute.empty()) {
    for (const auto& one : setting.distribute)
      if (within(*view.place, one.from)) return by_share(one.to, candidates);
    return {};
  }
  if (setting.needs_outlier && !has_outlier) return {};
  if (!setting.failover_priority.empty()) {
    by_labels(setting.failover_priority, view, candidates);
  } else {
    by_distance(setting.failover, *view.place, candidates);
  }
  return {};
}

}  // namespace sockmesh::config
