// Metrics as Prometheus reads them: Istio's four TCP metrics with all their labels, the cluster and listener
// counters under Envoy's names, and ours (sockmesh_*), in text format 0.0.4. Pure, any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/lane.h"
#include "telemetry/counters.h"

namespace sockmesh::telemetry {

// Totals of one lane over all workers, as plain values.
struct LaneTotals {
  model::Lane lane{};
  bool available = false;  // passed its self-test and is not switched off
  uint64_t flows_total = 0, flows_active = 0;
  uint64_t refused = 0;      // flows that were to enter it and could not, or came too late
  uint64_t stuck = 0;        // flows that its safety net reset
  uint64_t bytes_total = 0;  // both directions, of ended flows
};

// How looking up the names of DNS clusters went.
struct DnsTotals {
  struct Updates {
    uint64_t attempt = 0, success = 0, failure = 0, empty = 0;  // Envoy's update_*
  };
  std::map<std::string, Updates> clusters;
  std::map<std::string, double> answer_age_seconds;  // by name; none where no answer came so far
};

// What is counted once a process.
struct AgentTotals {
  std::string version;  // of the agent, for istio_build
  std::string config_version;
  uint64_t config_generation = 0;
  uint64_t workers = 0;
  uint64_t connections_active = 0;
  uint64_t access_log_lines = 0, access_log_dropped = 0;
  uint64_t findings = 0;         // of the snapshot in force
  uint64_t config_rejected = 0;  // loads that left the last good configuration in force
  double uptime_seconds = 0;
  bool draining = false;
  std::vector<LaneTotals> lanes;
  DnsTotals dns;
};

std::string prometheus_text(const CounterTotals& counters, const AgentTotals& agent);

}  // namespace sockmesh::telemetry
