// Origin: the object (and the place in its file) that made something so. Every listener, chain, route,
// cluster and losing candidate carries one, so that `explain` can always name its reason. Immutable values,
// shared by pointer.
#pragma once

#include <memory>
#include <string>

#include "base/text.h"

namespace sockmesh::model {

struct Origin {
  Text kind;  // "VirtualService"; "MeshConfig" or "builtin" for what no object declares
  Text name;
  Text ns;       // "" for cluster-scoped and built-in things
  Text file;     // "" when the source is not a file (API server, xDS)
  int line = 0;  // 1-based; 0 when unknown

  // "VirtualService default/echo (routes.yaml:12)", "builtin"
  std::string to_string() const;
};
using OriginPtr = std::shared_ptr<const Origin>;

OriginPtr builtin_origin();

}  // namespace sockmesh::model
