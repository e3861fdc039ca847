// What is said about the names of DNS clusters: in `endpoints`, in `status`, as metrics. A name whose server
// is dead looks well by its configuration alone. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "admin/sources.h"
#include "telemetry/metrics.h"
#include "upstream/name_cache.h"

namespace sockmesh::server {

using NameAnswers = std::map<std::string, upstream::NameAnswerPtr>;  // NameCache::all()

// At most so many names that are not well are told by status.
inline constexpr size_t kMaxNamesTold = 100;

// The names of the snapshot's DNS clusters that have no answer, or an empty one, by name; kMaxNamesTold at
// most.
std::vector<admin::NameStatus> unwell_names(const model::Snapshot& snapshot, const NameAnswers& answers,
                                            MonotonicTime now);

// A state for each endpoint that is a name: how its lookups went, and what its addresses, which are in
// `states`, come to together.
std::vector<admin::EndpointState> named_endpoints(const model::Snapshot& snapshot, const NameAnswers& answers,
                                                  const std::vector<admin::EndpointState>& states,
                                                  MonotonicTime now);

// Envoy's update_* counters of each DNS cluster, by cluster name, and the age of each name's last answer.
telemetry::DnsTotals dns_totals(const model::Snapshot& snapshot, const NameAnswers& answers,
                                MonotonicTime now);

}  // namespace sockmesh::server
