#include "model/origin.h"

#include <fmt/format.h>

namespace sockmesh::model {

std::string Origin::to_string() const {
  if (kind == "builtin" || name.empty()) return kind;
  std::string text = ns.empty() ? fmt::format("{} {}", kind, name) : fmt::format("{} {}/{}", kind, ns, name);
  if (!file.empty()) text += line > 0 ? fmt::format(" ({}:{})", file, line) : fmt::format(" ({})", file);
  return text;
}

OriginPtr builtin_origin() {
  static const OriginPtr origin = std::make_shared<const Origin>(Origin{"builtin", "", "", "", 0});
  return origin;
}

}  // namespace sockmesh::model
