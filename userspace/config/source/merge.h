// Resources of several texts as one: of objects with the same kind, namespace and name the last one counts,
// as when `kubectl apply` gets them in that order; and what stays in force of an earlier text when the new
// one is partly broken. Pure, any thread.
#pragma once

#include <string>
#include <vector>

#include "config/manifest/reader.h"
#include "config/resources/resources.h"

namespace sockmesh::config {

// All objects of `parts`, in order. Each one that lost to a later one of its name is a problem.
Resources combine(const std::vector<const Resources*>& parts, ProblemList& problems);

size_t object_count(const Resources& resources);

// Adds to `fresh` what its text could not say: an object that was left out keeps its version of `last`; where
// a document did not say what it was (`report.all_readable` false), so does every object that `fresh` does
// not have. The problems then say so. Returns the objects that were left out and of which `last` has no
// version either.
std::vector<std::string> keep_last_good(Resources& fresh, const Resources& last, ReadReport& report);

}  // namespace sockmesh::config
