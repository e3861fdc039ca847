#include "upstream/balancer.h"

#include <algorithm>

namespace sockmesh::upstream {

bool is_dns(const model::Cluster& cluster) {
  return cluster.type == model::ClusterType::kStrictDns || cluster.type == model::ClusterType::kLogicalDns;
}

Expanded expand(const model::Cluster& cluster, ClusterState& state, const NameCache& names,
                MonotonicTime now) {
  Expanded expanded;
  const auto add = [&](const model::Endpoint& endpoint, model::EndpointAddress address) {
    HostStatePtr host = state.host(model::to_string(address), now);
    expanded.hosts.push_back({std::move(address), endpoint.weight, endpoint.priority, endpoint.health,
                              endpoint.locality, endpoint.workload, std::move(host)});
  };
  for (const model::Endpoint& endpoint : cluster.endpoints) {
    if (endpoint.weight == 0) continue;
    const auto* name = std::get_if<model::HostName>(&endpoint.address);
    if (name == nullptr) {
      add(endpoint, endpoint.address);
      continue;
    }
    const NameAnswerPtr answer = names.find(name->name);
    if (!answer) {
      expanded.names_pending = true;
      continue;
    }
    const bool logical = cluster.type == model::ClusterType::kLogicalDns;
    for (const IpAddress& ip : logical ? answer->last_addresses : answer->addresses) {
      add(endpoint, SocketAddress{ip, name->port});
      if (logical) break;
    }
  }
  return expanded;
}

Balancer::Balancer(model::ClusterPtr cluster, ClusterStatePtr state, const NameCache& names, uint64_t seed)
    : cluster_(std::move(cluster)), state_(std::move(state)), names_(names), random_(seed) {}

void Balancer::refresh(MonotonicTime now) {
  const uint64_t health = state_->health_version();
  const uint64_t names = is_dns(*cluster_) ? names_.version() : 1;
  if (health == health_version_ && names == names_version_ && now < valid_until_) return;
  health_version_ = health;
  names_version_ = names;
  rebuild(now);
}

void Balancer::rebuild(MonotonicTime now) {
  levels_.clear();  // first: the pickers point into hosts_
  Expanded expanded = expand(*cluster_, *state_, names_, now);
  hosts_ = std::move(expanded.hosts);
  names_pending_ = expanded.names_pending;

  std::vector<std::string> addresses;
  for (const Host& host : hosts_) addresses.push_back(model::to_string(host.address));
  std::sort(addresses.begin(), addresses.end());
  state_->keep_only(addresses);

  HostLevels made = host_levels(*cluster_, hosts_, now);
  valid_until_ = made.valid_until;
  levels_.resize(made.levels.size());
  for (size_t i = 0; i < levels_.size(); ++i) {
    levels_[i].percent = made.levels[i].percent;
    levels_[i].weight = made.levels[i].weight;
    for (HostGroup& from : made.levels[i].groups) {
      auto group = std::make_unique<Group>();
      group->weight = from.weight;
      group->hosts = std::move(from.hosts);
      group->picker = make_picker(*cluster_, group->hosts, random_);
      levels_[i].groups.push_back(std::move(group));
    }
  }
}

Balancer::Group* Balancer::draw_group() {
  uint64_t left = random_.below(100);
  for (const Level& level : levels_) {
    if (left >= level.percent) {
      left -= level.percent;
      continue;
    }
    if (level.groups.empty()) return nullptr;
    double rest = random_.unit() * level.weight;
    for (const auto& group : level.groups) {
      if (rest < group->weight) return group.get();
      rest -= group->weight;
    }
    return level.groups.back().get();
  }
  return nullptr;
}

std::variant<Host, Balancer::Nobody> Balancer::pick(const PickInput& input,
                                                    const std::vector<model::EndpointAddress>& avoid) {
  refresh(input.now);
  const auto avoided = [&](const Host& host) {
    return std::find(avoid.begin(), avoid.end(), host.address) != avoid.end();
  };
  Group* group = draw_group();
  if (group == nullptr) return names_pending_ ? Nobody::kNamesPending : Nobody::kNoHealthyHost;
  const Host& first = *group->hosts[group->picker->pick(input, random_)];
  if (!avoided(first)) return first;

  // A retry: somebody else, from a random start, of the same group before the others.
  const size_t start = random_.below(group->hosts.size());
  for (size_t i = 0; i < group->hosts.size(); ++i) {
    const Host& host = *group->hosts[(start + i) % group->hosts.size()];
    if (!avoided(host)) return host;
  }
  for (const Level& level : levels_)
    for (const auto& other : level.groups)
      for (const Host* host : other->hosts)
        if (!avoided(*host)) return *host;
  return Nobody::kNoHealthyHost;
}

}  // namespace sockmesh::upstream
