#include "model/names.h"

namespace sockmesh::model {

std::string_view to_string(Health health) {
  switch (health) {
    case Health::kHealthy:
      return "healthy";
    case Health::kUnhealthy:
      return "unhealthy";
    case Health::kDraining:
      return "draining";
  }
  return "";
}

std::string_view to_string(ProxyProtocol version) {
  switch (version) {
    case ProxyProtocol::kV1:
      return "v1";
    case ProxyProtocol::kV2:
      return "v2";
    case ProxyProtocol::kNone:
      return "";
  }
  return "";
}

}  // namespace sockmesh::model
