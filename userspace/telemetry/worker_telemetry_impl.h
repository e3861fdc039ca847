// What WorkerTelemetry and ConnectionScope share behind their headers. Worker thread, but for `active` and
// the tables' add_to().
#pragma once

#include <atomic>
#include <unordered_set>

#include "telemetry/access_log.h"
#include "telemetry/counters.h"
#include "telemetry/worker_telemetry.h"

namespace sockmesh::telemetry {

struct WorkerTelemetry::Impl {
  // Bounds on series per worker. A label set costs about 1 KB here and 3 KB a scrape.
  static constexpr size_t kMaxTcpSeries = 2'000;
  static constexpr size_t kMaxClusterSeries = 2'000;
  static constexpr size_t kMaxListenerSeries = 2'000;

  Impl(uint16_t number, std::shared_ptr<AccessLog> access_log)
      : log(std::move(access_log)), next_id(static_cast<uint64_t>(number) << 48) {}

  const std::shared_ptr<AccessLog> log;
  uint64_t next_id;
  std::unordered_set<ConnectionScope*> open;
  std::atomic<size_t> active{0};
  SeriesTable<TcpMetric> tcp{kMaxTcpSeries};
  SeriesTable<ClusterMetric> clusters{kMaxClusterSeries};
  SeriesTable<ListenerMetric> listeners{kMaxListenerSeries};
};

}  // namespace sockmesh::telemetry
