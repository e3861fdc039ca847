#include "upstream/host_groups.h"

#include <algorithm>

#include "upstream/priority_load.h"

namespace sockmesh::upstream {

namespace {

// `distribute` may name a region only, or a region and zone.
bool covers(const model::Locality& wanted, const model::Locality* actual) {
  static const model::Locality nowhere;
  if (actual == nullptr) actual = &nowhere;
  return (wanted.region.empty() || wanted.region == actual->region) &&
         (wanted.zone.empty() || wanted.zone == actual->zone) &&
         (wanted.subzone.empty() || wanted.subzone == actual->subzone);
}

void fill(const model::Cluster& cluster, const HostList& hosts, uint32_t priority, bool panic,
          MonotonicTime now, HostLevel& level) {
  const auto add_group = [&](double weight, const model::Locality* locality) {
    HostGroup group;
    uint32_t total = 0;
    for (const Host& host : hosts) {
      if (host.priority != priority || (locality && !covers(*locality, host.locality.get()))) continue;
      ++total;
      if (panic || host.usable(now)) group.hosts.push_back(&host);
    }
    if (group.hosts.empty()) return;
    // An unhealthy locality gives up its share only once its healthy part times 1.4 falls below all of it.
    const double available =
        std::min(1.0, static_cast<double>(group.hosts.size()) / total * kOverprovisioningPercent / 100);
    group.weight = weight * available;
    level.weight += group.weight;
    level.groups.push_back(std::move(group));
  };

  for (const model::LocalityWeight& share : cluster.locality_weights)
    if (share.weight > 0) add_group(share.weight, &share.to);
  // Nobody asked for localities, or nobody is left in those that were named.
  if (level.groups.empty()) add_group(1, nullptr);
}

}  // namespace

HostLevels host_levels(const model::Cluster& cluster, const HostList& hosts, MonotonicTime now) {
  HostLevels made;
  std::vector<LevelHealth> health;
  for (const Host& host : hosts) {
    if (host.priority >= health.size()) health.resize(host.priority + 1);
    ++health[host.priority].total;
    if (host.usable(now)) ++health[host.priority].healthy;
    if (host.state->ejected(now))
      made.valid_until =
          std::min(made.valid_until, MonotonicTime(Duration(host.state->ejected_until.load())));
  }
  const std::vector<LevelLoad> loads = priority_load(health, cluster.panic_threshold_percent);
  made.levels.resize(loads.size());
  for (uint32_t priority = 0; priority < loads.size(); ++priority) {
    made.levels[priority].percent = loads[priority].percent;
    if (loads[priority].percent > 0)
      fill(cluster, hosts, priority, loads[priority].panic, now, made.levels[priority]);
  }
  return made;
}

}  // namespace sockmesh::upstream
