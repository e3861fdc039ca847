// WorkerTelemetry: one worker's counters, flow table and access-log queue, of one pod. The worker writes
// without locks where it can; readers (admin thread) get copies. Thread rules stand at each method.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "telemetry/connection_record.h"

namespace sockmesh::telemetry {

class AccessLog;  // access_log.h: formats and writes lines, shared by all workers, thread-safe
class ConnectionScope;
struct CounterTotals;  // counters.h

class WorkerTelemetry {
 public:
  // Copies that one listing of the flow table may hold, in all about 10 MB; the rest is only counted.
  static constexpr size_t kMaxFlowsListed = 10'000;

  // `number` is this one's alone in the process. `log` may be null: nothing is logged then.
  WorkerTelemetry(uint16_t number, std::shared_ptr<AccessLog> log);
  ~WorkerTelemetry();  // every ConnectionScope of this worker must be gone

  uint64_t next_connection_id();                                        // worker thread
  std::vector<ConnectionRecord> flows(size_t limit = kMaxFlowsListed);  // worker thread (the loop's post()
                                                                        // brings you there): refreshed copies
  void report_bytes();                       // worker thread, every 5 s: byte counters of open connections
  size_t active() const;                     // any thread
  void add_to(CounterTotals& totals) const;  // any thread: adds this worker's counters

 private:
  friend class ConnectionScope;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sockmesh::telemetry
