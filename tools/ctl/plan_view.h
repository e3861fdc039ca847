// A plan as JSON (README.md says its shape).
#pragma once

#include "ctl/json_text.h"
#include "model/plan.h"

namespace sockmesh::ctl {

Json plan_view(const model::Plan& plan, const std::string& version_before, const std::string& version_after);

}  // namespace sockmesh::ctl
