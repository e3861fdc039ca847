// A direct flow as telemetry knows connections: what the kernel remembers of it (bpf/direct_record.h), told
// in the words of the agent's own. Pure, any thread.
#pragma once

#include "bpf/direct_record.h"
#include "model/snapshot.h"
#include "telemetry/connection_record.h"

namespace sockmesh::app_lanes {

using telemetry::ConnectionRecord;

// What it was routed by: `snapshot` is that of the decisions which led it, `cluster` what they chose. A flow
// of an earlier process has the cluster that its endpoint tells, if it tells one; `snapshot` is then today's.
struct LedBy {
  model::SnapshotPtr snapshot;  // may be null
  Text cluster;                 // ""; not known
};

// All but its id and what changes. `wall` and `now` are of one moment.
ConnectionRecord flow_record(const direct_record& flow, const LedBy& by, WallTime wall, MonotonicTime now);

// Bytes, round trips and half-closes, as of this reading.
void note_reading(const direct_record& flow, ConnectionRecord& record);

// How it ended: kind DIRECT_ENDED, DIRECT_FAILED or DIRECT_REFUSED.
void note_end(const direct_record& flow, ConnectionRecord& record);

// Whether connecting failed by the endpoint's fault; else the application gave up.
bool endpoint_failed(const direct_record& flow);

}  // namespace sockmesh::app_lanes
