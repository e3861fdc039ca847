#include "upstream/priority_load.h"

#include <algorithm>

namespace sockmesh::upstream {

namespace {

// Hands out 100 percent in proportion to `shares`, at most `shares[i]` of every hundred when there is enough.
void distribute(const std::vector<uint32_t>& shares, uint32_t sum, std::vector<LevelLoad>& loads) {
  uint32_t left = 100;
  for (size_t i = 0; i < shares.size(); ++i) {
    loads[i].percent = std::min(left, shares[i] * 100 / sum);
    left -= loads[i].percent;
  }
  // What integer division lost goes to the first level that takes traffic at all.
  for (size_t i = 0; i < shares.size() && left > 0; ++i) {
    if (shares[i] == 0) continue;
    loads[i].percent += left;
    left = 0;
  }
}

}  // namespace

std::vector<LevelLoad> priority_load(const std::vector<LevelHealth>& levels,
                                     uint32_t panic_threshold_percent) {
  std::vector<LevelLoad> loads(levels.size());
  std::vector<uint32_t> available(levels.size());
  uint32_t available_sum = 0;
  uint32_t total_hosts = 0;
  for (size_t i = 0; i < levels.size(); ++i) {
    total_hosts += levels[i].total;
    if (levels[i].total == 0) continue;
    available[i] = static_cast<uint32_t>(
        std::min<uint64_t>(100, uint64_t{kOverprovisioningPercent} * levels[i].healthy / levels[i].total));
    available_sum += available[i];
  }

  if (available_sum < 100 && panic_threshold_percent > 0) {
    for (size_t i = 0; i < levels.size(); ++i)
      loads[i].panic = levels[i].total > 0 && uint64_t{levels[i].healthy} * 100 <
                                                  uint64_t{levels[i].total} * panic_threshold_percent;
    const bool all_panic = std::all_of(levels.begin(), levels.end(), [&](const LevelHealth& level) {
      return level.total == 0 || loads[static_cast<size_t>(&level - levels.data())].panic;
    });
    if (all_panic && total_hosts > 0) {  // health says nothing any more: by number of hosts
      std::vector<uint32_t> hosts;
      for (const LevelHealth& level : levels) hosts.push_back(level.total);
      distribute(hosts, total_hosts, loads);
      return loads;
    }
  }
  if (available_sum > 0) distribute(available, std::min(available_sum, 100u), loads);
  return loads;
}

}  // namespace sockmesh::upstream
