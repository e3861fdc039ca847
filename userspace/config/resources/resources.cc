#include "config/resources/resources.h"

namespace sockmesh::config {

model::OriginPtr Meta::origin(int at_line) const {
  return std::make_shared<const model::Origin>(
      model::Origin{kind, name, ns, file ? *file : std::string(), at_line > 0 ? at_line : line});
}

}  // namespace sockmesh::config
