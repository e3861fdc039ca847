// A snapshot and an explanation as text, for the golden files: everything that a change of a rule would move.
#pragma once

#include <string>

#include "mesh_case.h"
#include "model/explain.h"

namespace sockmesh::config {

std::string describe(const model::Snapshot& snapshot);
std::string describe(const model::Explanation& explanation);
// The explanation of a probe: of the bound listener on its port where the proxy is a gateway.
model::Explanation explain_probe(const MeshCase& mesh, const model::Snapshot& snapshot, const Probe& probe);

}  // namespace sockmesh::config
