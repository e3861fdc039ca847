// The table of endpoints, which `explain` shows too.
#pragma once

#include <string>

#include "ctl/json_text.h"

namespace sockmesh::ctl {

std::string endpoints_table(const Json& endpoints);  // as in /v1/endpoints

}  // namespace sockmesh::ctl
