#include "telemetry/worker_telemetry.h"

#include "telemetry/connection_scope.h"
#include "telemetry/worker_telemetry_impl.h"

namespace sockmesh::telemetry {

WorkerTelemetry::WorkerTelemetry(uint16_t number, std::shared_ptr<AccessLog> log)
    : impl_(std::make_unique<Impl>(number, std::move(log))) {}

WorkerTelemetry::~WorkerTelemetry() = default;

uint64_t WorkerTelemetry::next_connection_id() { return ++impl_->next_id; }

std::vector<ConnectionRecord> WorkerTelemetry::flows(size_t limit) {
  std::vector<ConnectionRecord> copies;
  copies.reserve(std::min(limit, impl_->open.size()));
  for (ConnectionScope* scope : impl_->open) {
    if (copies.size() >= limit) break;
    scope->refresh();
    copies.push_back(scope->record());
  }
  return copies;
}

void WorkerTelemetry::report_bytes() {
  for (ConnectionScope* scope : impl_->open) {
    scope->refresh();
    scope->report_bytes();
  }
}

size_t WorkerTelemetry::active() const { return impl_->active.load(std::memory_order_relaxed); }

void WorkerTelemetry::add_to(CounterTotals& totals) const {
  impl_->tcp.add_to(totals.tcp);
  impl_->clusters.add_to(totals.clusters);
  impl_->listeners.add_to(totals.listeners);
}

}  // namespace sockmesh::telemetry
