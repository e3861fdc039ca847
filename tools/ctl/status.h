// The table of lanes, which `lanes` shows alone.
#pragma once

#include <string>

#include "ctl/json_text.h"

namespace sockmesh::ctl {

std::string lanes_table(const Json& lanes);  // as in /v1/status

}  // namespace sockmesh::ctl
