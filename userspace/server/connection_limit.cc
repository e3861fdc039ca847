#include "server/connection_limit.h"

#include <algorithm>

#include "admin/admin_server.h"

namespace sockmesh::server {

const size_t kReservedDescriptors = 128 + admin::kMaxAdminDescriptors;

size_t connection_limit(size_t wanted, size_t descriptors) {
  const size_t left = descriptors - std::min(descriptors, kReservedDescriptors);
  const size_t possible = std::max(left / 2, kFewestConnections);
  return wanted == 0 ? possible : std::min(wanted, possible);
}

}  // namespace sockmesh::server
