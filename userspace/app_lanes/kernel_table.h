// The decisions as the kernel's half takes them (bpf/direct_table.h). A route that is the agent's at this
// moment is left out, and what leads to it is left alone (docs/direct.md#left-alone): so whoever leads there
// need not be written anew. Pure, any thread.
#pragma once

#include "bpf/direct_table.h"
#include "direct/decisions.h"
#include "direct/delta.h"

namespace sockmesh::app_lanes {

// `first_turn`: where round robin begins, so that the pods of a node do not all begin with the same host.
bpf::DirectTable kernel_table(const direct::Tables& tables, uint32_t first_turn);
bpf::DirectChange kernel_change(const direct::Delta& delta, uint32_t first_turn);

}  // namespace sockmesh::app_lanes
