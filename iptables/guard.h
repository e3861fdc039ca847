// The guard: rules that stop all TCP and UDP for the moment in which a change spans several tables, so that
// no connection slips through between them. A comment is how the guard knows its own rules again: a DROP of
// somebody else's is never taken away. Pure.
#pragma once

#include <string>

#include "iptables/saved_state.h"

namespace sockmesh::iptables {

bool is_guard(const SavedRule& rule);

// For `iptables-restore --noflush`.
std::string guard_document();

// Takes every guard rule out that `state` shows; empty if there is none.
std::string guard_removal(const SavedState& state);

}  // namespace sockmesh::iptables
