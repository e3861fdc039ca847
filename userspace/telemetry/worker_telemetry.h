// WorkerTelemetry: one worker's counters, flow table and access-log queue. The worker writes without locks
// where it can; readers (admin thread) get copies. Thread rules stand at each method.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "telemetry/connection_record.h"

namespace sockmesh::telemetry {

class AccessLog;  // access_log.h: formats and writes lines, shared by all workers, thread-safe
class ConnectionScope;

class WorkerTelemetry {
 public:
  WorkerTelemetry(uint16_t worker, std::shared_ptr<AccessLog> log);
  ~WorkerTelemetry();

  uint64_t next_connection_id();  // worker thread
  std::vector<ConnectionRecord>
  flows();                // worker thread (the loop's post() brings you there): refreshed copies
  void report_bytes();    // worker thread, every 5 s: byte counters of open connections
  size_t active() const;  // any thread

 private:
  friend class ConnectionScope;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sockmesh::telemetry
