// Reads manifests (the YAML that `kubectl apply` takes: many documents, `List`s, JSON too) into Resources. A
// field that cannot be read yields a problem with file:line and leaves the rest of the object, and every
// other object, in force where that is safe; otherwise the object is left out. Unknown kinds and fields are
// not errors. Bounds: depth 64, file 64 MiB. Pure on text, any thread.
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
  std::string to_string()
      const;  // "routes.yaml:12: VirtualService default/echo: spec...: '...': expected ..."
};

// Appends to `resources` and `problems`. Returns false when the text is not YAML at all (a problem says
// where).
bool read_manifest(std::string_view text, const std::string& file, Resources& resources,
                   std::vector<ReadProblem>& problems);

}  // namespace sockmesh::config
