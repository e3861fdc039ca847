// What to change when a connection goes where nobody wanted it: found from the decision alone. Pure.
#pragma once

#include <string>
#include <vector>

#include "model/explain.h"

namespace sockmesh::model {

std::vector<std::string> find_cures(const Snapshot& snapshot, const Decision& decision,
                                    const Explanation& explanation);

// An address-less service took the connection because of its port alone (docs/istio.md#conflicts).
bool taken_by_port_alone(const Decision& decision);

}  // namespace sockmesh::model
