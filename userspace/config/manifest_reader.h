// Reads manifests (the YAML that `kubectl apply` takes: many documents, `List`s, JSON too) into Resources. A
// field that cannot be read yields a problem with file:line and leaves the rest of the object, and every
// other object, in force where that is safe; where using the rest would send traffic wrongly (a selector that
// lost a term, an address that would become a wildcard) the object is left out and the problem says so.
// Unknown kinds and fields are not errors. Bounds: those of yaml.h, and 1000 problems a list. Pure on text,
// any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/resources.h"

namespace sockmesh::config {

struct ReadProblem {
  std::string file;
  int line = 0;
  std::string object;  // "VirtualService default/echo", "" when not known yet
  std::string field;   // "spec.tcp[0].route[1].weight"
  std::string text;    // quotes the bad value, says what was expected
  bool object_dropped = false;
  // "routes.yaml:12: VirtualService default/echo: spec...: '...': expected ... (object left out)"
  std::string to_string() const;
  bool operator==(const ReadProblem&) const = default;
};

// Appends to `resources` and `problems` (by line). Returns false when some document is not YAML or does not
// say which object it is (a problem says where): what it held is not known then; the other documents are
// read.
bool read_manifest(std::string_view text, const std::string& file, Resources& resources,
                   std::vector<ReadProblem>& problems);

}  // namespace sockmesh::config
