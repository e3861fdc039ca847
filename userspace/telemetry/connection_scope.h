// ConnectionScope: the lifetime of a connection as telemetry sees it. Made at accept, destroyed at close; its
// destructor guarantees exactly one access-log line (when logging is on), exactly one opened/closed pair in
// the metrics, and that the flow table forgets the connection, whatever path the close took. Worker thread
// only.
#pragma once

#include <functional>
#include <memory>

#include "telemetry/connection_record.h"

namespace sockmesh::telemetry {

class WorkerTelemetry;  // worker_telemetry.h: this worker's counters, flow table shard and log queue

class ConnectionScope {
 public:
  // `refresh` brings the byte counts and the lane of the record up to date; called before the record is read
  // (flow table, periodic metrics), never after destruction.
  ConnectionScope(WorkerTelemetry& worker, ConnectionRecord record);
  ~ConnectionScope();
  ConnectionScope(const ConnectionScope&) = delete;
  ConnectionScope& operator=(const ConnectionScope&) = delete;

  ConnectionRecord& record() { return record_; }
  void set_refresh(std::function<void(ConnectionRecord&)> refresh) { refresh_ = std::move(refresh); }
  void refresh() {
    if (refresh_) refresh_(record_);
  }
  // The upstream stands or has failed: peer and flags are known. Counts "opened" (its labels are frozen
  // here).
  void opened();

 private:
  void report_bytes();  // what moved since the last report, into the series
  WorkerTelemetry& worker_;
  ConnectionRecord record_;
  std::function<void(ConnectionRecord&)> refresh_;
  struct Series;  // the counters this connection counts in, frozen by opened()
  std::unique_ptr<Series> series_;
  friend class WorkerTelemetry;
};

}  // namespace sockmesh::telemetry
