// Outlier detection for TCP: a host whose connections fail again and again gets no more of them for a while.
// As Envoy does for TCP (docs/istio.md#destinationrule): only the outcome of connecting counts; what happens
// later does not. The decisions are pure; record() applies them to the atomics of a HostState.
#pragma once

#include <cstdint>
#include <functional>

#include "base/clock.h"
#include "model/snapshot.h"
#include "upstream/cluster_state.h"
#include "upstream/host.h"

namespace sockmesh::upstream {

struct FailureRuns {  // failures in a row
  uint32_t of_5xx = 0, of_gateway = 0, of_local_origin = 0;
};

// True when one of the runs has reached its limit. Without the split a failed connect counts as a 5xx and as
// a gateway failure, with it as a local-origin failure only.
bool over_limit(const model::OutlierDetection& settings, const FailureRuns& runs);

// Whether one more host may be ejected: Envoy compares (ejected + 1) / hosts with max_ejection_percent, so
// ten percent of fewer than ten hosts is nobody.
bool may_eject(uint32_t ejected, uint32_t hosts, uint32_t max_ejection_percent);

// `times`: how many ejections in a row this one makes, from 1.
Duration ejection_time(const model::OutlierDetection& settings, uint32_t times);

// After an ejection ended, each interval without another forgives one of the ejections counted in a row.
uint32_t forgiven(const model::OutlierDetection& settings, uint32_t ejections, Duration since_ejection_ended);

// Records the outcome of connecting to `host`, one of `hosts`, and ejects the host when that is due. Any
// thread; returns true when the host was ejected by this call.
bool record(const model::OutlierDetection& settings, const HostList& hosts, HostState& host, bool connected,
            MonotonicTime now);

// Counts how connecting to a host of a cluster went, and ejects the host when that is due. `host` is null
// where it is not known (ORIGINAL_DST); `hosts` is asked where outlier detection is on. Any thread.
void report_connect(const model::Cluster& cluster, ClusterState& state, HostState* host,
                    const std::function<const HostList&()>& hosts, bool connected, MonotonicTime now);

}  // namespace sockmesh::upstream
