// The names of values, as the admin API, tables and `apply --plan` print them. Pure, any thread.
#pragma once

#include <string_view>

#include "model/snapshot.h"

namespace sockmesh::model {

std::string_view to_string(Health health);          // "healthy", "unhealthy", "draining"
std::string_view to_string(ProxyProtocol version);  // "v1", "v2", "" for none

}  // namespace sockmesh::model
