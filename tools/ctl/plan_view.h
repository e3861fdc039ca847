// A plan as JSON (README.md says its shape).
#pragma once

#include "config/plan.h"
#include "ctl/json_text.h"

namespace sockmesh::ctl {

Json plan_view(const config::Plan& plan, const std::string& version_before, const std::string& version_after);

}  // namespace sockmesh::ctl
