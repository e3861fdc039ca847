#include "upstream/outlier.h"

#include <algorithm>

namespace sockmesh::upstream {

bool over_limit(const model::OutlierDetection& settings, const FailureRuns& runs) {
  const auto reached = [](const std::optional<uint32_t>& limit, uint32_t run) {
    return limit && *limit > 0 && run >= *limit;
  };
  if (settings.split_external_local_origin)
    return reached(settings.consecutive_local_origin, runs.of_local_origin);
  return reached(settings.consecutive_5xx, runs.of_5xx) ||
         reached(settings.consecutive_gateway, runs.of_gateway);
}

bool may_eject(uint32_t ejected, uint32_t hosts, uint32_t max_ejection_percent) {
  return hosts > 0 && (uint64_t{ejected} + 1) * 100 <= uint64_t{hosts} * max_ejection_percent;
}

Duration ejection_time(const model::OutlierDetection& settings, uint32_t times) {
  const Duration longest = std::max(settings.max_ejection_time, settings.base_ejection_time);
  if (settings.base_ejection_time.count() <= 0) return Duration{};
  if (times > longest / settings.base_ejection_time) return longest;
  return settings.base_ejection_time * times;
}

uint32_t forgiven(const model::OutlierDetection& settings, uint32_t ejections,
                  Duration since_ejection_ended) {
  if (settings.interval.count() <= 0 || since_ejection_ended.count() < 0) return ejections;
  const auto intervals = since_ejection_ended / settings.interval;
  return intervals >= ejections ? 0 : ejections - static_cast<uint32_t>(intervals);
}

bool record(const model::OutlierDetection& settings, const HostList& hosts, HostState& host, bool connected,
            MonotonicTime now) {
  if (connected) {
    host.run_5xx = host.run_gateway = host.run_local = 0;
    return false;
  }
  FailureRuns runs;
  if (settings.split_external_local_origin) {
    runs.of_local_origin = ++host.run_local;
  } else {
    runs.of_5xx = ++host.run_5xx;
    runs.of_gateway = ++host.run_gateway;
  }
  if (!over_limit(settings, runs) || host.ejected(now)) return false;
  const auto ejected = static_cast<uint32_t>(std::count_if(
      hosts.begin(), hosts.end(), [&](const Host& other) { return other.state->ejected(now); }));
  if (!may_eject(ejected, static_cast<uint32_t>(hosts.size()), settings.max_ejection_percent)) return false;

  const int64_t last_end = host.ejected_until.load(std::memory_order_relaxed);
  const Duration since = now.time_since_epoch() - Duration(last_end);
  const uint32_t times = forgiven(settings, host.ejections.load(std::memory_order_relaxed), since) + 1;
  host.ejections = times;
  host.ejected_until = (now.time_since_epoch() + ejection_time(settings, times)).count();
  // The next failure after it is back starts a run anew.
  host.run_5xx = host.run_gateway = host.run_local = 0;
  return true;
}

void report_connect(const model::Cluster& cluster, ClusterState& state, HostState* host,
                    const std::function<const HostList&()>& hosts, bool connected, MonotonicTime now) {
  (connected ? state.connects : state.connect_failures).fetch_add(1, std::memory_order_relaxed);
  if (host == nullptr) return;
  (connected ? host->connects : host->failures).fetch_add(1, std::memory_order_relaxed);
  if (!cluster.outlier || !record(*cluster.outlier, hosts(), *host, connected, now)) return;
  state.ejections.fetch_add(1, std::memory_order_relaxed);
  state.health_changed();
}

}  // namespace sockmesh::upstream
