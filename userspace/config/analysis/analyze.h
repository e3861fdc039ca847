// What is wrong with a mesh before it bites: the findings of `istioctl analyze` that concern TCP, with
// Istio's codes, levels and wording (docs/istio.md#analyze), and ours (codes SM...), which tell where one
// object changes what happens to another's traffic, and the smallest change that cures it. What each code
// means: model/finding_codes.cc. A pure function of what is declared, any thread.
#pragma once

#include <string_view>
#include <vector>

#include "config/resources/read_problem.h"
#include "config/resources/resources.h"
#include "model/snapshot.h"

namespace sockmesh::config {

// Findings sorted by object, then code; those that their object's annotation galley.istio.io/analyze-suppress
// names are left out. What could not be read (`problems`) is among them, as IST0106.
std::vector<model::Finding> analyze(const Resources& resources,
                                    const std::vector<ReadProblem>& problems = {});

struct Analyzer {
  std::string_view name, description;
};
const std::vector<Analyzer>& analyzers();  // for a listing, in the order in which they run

}  // namespace sockmesh::config
