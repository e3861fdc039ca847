#include "telemetry/connection_scope.h"

#include <algorithm>

#include "base/arithmetic.h"
#include "telemetry/istio_labels.h"
#include "telemetry/worker_telemetry_impl.h"

namespace sockmesh::telemetry {

struct ConnectionScope::Series {
  CounterSet<TcpMetric>& tcp;
  CounterSet<ClusterMetric>* cluster;    // null: no cluster was chosen
  CounterSet<ListenerMetric>* listener;  // null: no listener took it
  bool upstream_active = false;
  uint64_t reported_received = 0, reported_sent = 0;
};

namespace {

// What configuration and connect decided, counted once, at the moment it is known.
void count_decision(const ConnectionRecord& record, CounterSet<ClusterMetric>& cluster, bool established) {
  using model::ResponseFlag;
  const uint64_t succeeded = established ? 1 : 0;
  const uint64_t attempts = std::max<uint64_t>(record.connect_attempts, succeeded);
  cluster[ClusterMetric::kCxTotal].add(attempts);
  cluster[ClusterMetric::kConnectFail].add(attempts - succeeded);
  if (record.flags.has(ResponseFlag::kUpstreamRetryLimitExceeded))
    cluster[ClusterMetric::kAttemptsExceeded].add(1);
  if (record.flags.has(ResponseFlag::kUpstreamOverflow)) cluster[ClusterMetric::kOverflow].add(1);
  if (record.flags.has(ResponseFlag::kNoHealthyUpstream)) cluster[ClusterMetric::kNoneHealthy].add(1);
  if (established) cluster[ClusterMetric::kCxActive].add(1);
}

}  // namespace

ConnectionScope::ConnectionScope(WorkerTelemetry& worker, ConnectionRecord record)
    : worker_(worker), record_(std::move(record)) {
  worker_.impl_->open.insert(this);
  worker_.impl_->active.fetch_add(1, std::memory_order_relaxed);
}

void ConnectionScope::opened() {
  if (series_) return;
  WorkerTelemetry::Impl& worker = *worker_.impl_;
  const bool established = record_.upstream_local.has_value();
  series_ = std::make_unique<Series>(Series{
      .tcp = worker.tcp.at(istio_label_key(record_)),
      .cluster = record_.cluster.empty() ? nullptr : &worker.clusters.at(record_.cluster),
      .listener = record_.listener.empty() ? nullptr : &worker.listeners.at(record_.listener),
      .upstream_active = established,
  });
  series_->tcp[TcpMetric::kOpened].add(1);
  if (series_->cluster) count_decision(record_, *series_->cluster, established);
  if (series_->listener) {
    (*series_->listener)[ListenerMetric::kCxTotal].add(1);
    (*series_->listener)[ListenerMetric::kCxActive].add(1);
    if (record_.flags.has(model::ResponseFlag::kNoRouteFound))
      (*series_->listener)[ListenerMetric::kNoFilterChainMatch].add(1);
  }
}

void ConnectionScope::report_bytes() {
  if (!series_) return;  // nothing is relayed before the upstream stands
  // Relays promise counts that never fall; a counter that took in 2^64 would never be right again.
  const uint64_t received = excess(record_.bytes_received, series_->reported_received);
  const uint64_t sent = excess(record_.bytes_sent, series_->reported_sent);
  series_->reported_received += received;
  series_->reported_sent += sent;
  series_->tcp[TcpMetric::kReceived].add(received);
  series_->tcp[TcpMetric::kSent].add(sent);
  if (series_->cluster) {
    (*series_->cluster)[ClusterMetric::kTxBytes].add(received);
    (*series_->cluster)[ClusterMetric::kRxBytes].add(sent);
  }
}

ConnectionScope::~ConnectionScope() {
  // Whoever closed the connection has already brought the record up to date, and what `refresh_` would ask
  // may be gone by now.
  if (record_.duration == Duration{}) record_.duration = monotonic_now() - record_.opened;
  record_.state = ConnectionState::kClosed;
  opened();  // failed before that was known: counts as opened and closed, with its flags
  report_bytes();
  series_->tcp[TcpMetric::kClosed].add(1);
  if (series_->listener) (*series_->listener)[ListenerMetric::kCxActive].subtract(1);
  if (CounterSet<ClusterMetric>* cluster = series_->cluster) {
    if (series_->upstream_active) (*cluster)[ClusterMetric::kCxActive].subtract(1);
    if (record_.flags.has(model::ResponseFlag::kUpstreamRemoteReset))
      (*cluster)[ClusterMetric::kDestroyRemote].add(1);
    if (record_.flags.has(model::ResponseFlag::kDurationTimeout))
      (*cluster)[ClusterMetric::kMaxDurationReached].add(1);
  }
  WorkerTelemetry::Impl& worker = *worker_.impl_;
  if (worker.log && record_.log) worker.log->append(record_);
  worker.open.erase(this);
  worker.active.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace sockmesh::telemetry
