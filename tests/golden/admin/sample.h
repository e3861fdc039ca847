// A small mesh as values: an echo service split 80/20 over two subsets, an ExternalName that took port 5701,
// one spliced and one connecting flow. What the views and tables of the golden tests are made from.
#pragma once

#include "admin/sources.h"
#include "model/explain.h"

namespace sockmesh::admin {

inline const MonotonicTime kSampleNow{std::chrono::hours(10)};
inline const WallTime kSampleWall{std::chrono::milliseconds(1787393472345)};  // 2026-08-22T10:11:12.345Z

model::SnapshotPtr sample_snapshot();
FlowListing sample_flows();
AgentStatus sample_status();
std::vector<EndpointState> sample_states();
model::Explanation sample_explanation();

}  // namespace sockmesh::admin
