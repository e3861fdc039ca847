// Names of an endpoint's health and of PROXY protocol versions, as the admin API, tables and `apply --plan`
// print them. Those of other values stand beside the values (snapshot.h). Pure, any thread.
#pragma once

#include <string_view>

#include "model/snapshot.h"

namespace sockmesh::model {

std::string_view to_string(Health health);          // "healthy", "unhealthy", "draining"
std::string_view to_string(ProxyProtocol version);  // "v1", "v2", "" for none

}  // namespace sockmesh::model
