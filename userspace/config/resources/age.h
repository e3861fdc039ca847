// Age: which of two objects comes first where both want the same: the one that was created first, then by
// name, then by namespace, as istiod sorts (sortConfigByCreationTime). No creationTimestamp counts as oldest.
// Pure.
#pragma once

#include <functional>
#include <tuple>

#include "config/resources/resources.h"

namespace sockmesh::config {

// To compare; refers to `meta`. `name` where an object goes by another than its own.
inline auto age(const Meta& meta, const std::string& name) {
  return std::make_tuple(meta.created.value_or(WallTime::min()), std::cref(name), std::cref(meta.ns));
}
inline auto age(const Meta& meta) { return age(meta, meta.name); }

}  // namespace sockmesh::config
