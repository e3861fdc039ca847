// Reads manifests (the YAML that `kubectl apply` takes: many documents, `List`s, JSON too) into Resources. A
// field that cannot be read yields a problem with file:line and leaves the rest of the object, and every
// other object, in force where that is safe; where using the rest would send traffic wrongly (a selector that
// lost a term, an address that would become a wildcard) the object is left out and the problem says so.
// Unknown kinds and fields are not errors. Bounds: those of yaml.h and read_problem.h, and the one below.
// Pure on text, any thread.
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "config/resources/read_problem.h"
#include "config/resources/resources.h"

namespace sockmesh::config {

inline constexpr size_t kMaxObjects = 100'000;  // of a folder; 10,000 Services with 50,000 Pods are 70,000

// What reading a text came to, beside the Resources.
struct ReadReport {
  ProblemList problems;  // by line
  // Every object that was left out, as its problem names it: "Sidecar default/client".
  std::unordered_set<std::string> left_out;
  // Whether each document says which object it is and none was beyond a bound. If not, what the text declares
  // is not known; the documents that do say it are read all the same.
  bool all_readable = true;
  size_t objects = 0;  // of the kinds that are read, those left out included
  bool full = false;   // there are more than the bound allows
};

// Appends to `resources`. After `max_objects` objects it reads no further.
ReadReport read_manifest(std::string_view text, const std::string& file, Resources& resources,
                         size_t max_objects = kMaxObjects);

// The same for who wants to know no more than the problems, which are appended, and ReadReport::all_readable.
bool read_manifest(std::string_view text, const std::string& file, Resources& resources,
                   std::vector<ReadProblem>& problems);

}  // namespace sockmesh::config
