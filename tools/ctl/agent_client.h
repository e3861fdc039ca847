// The way to a running agent: HTTP over <run-dir>/admin.sock. Blocking; 10 s for an answer.
#pragma once

#include <string>

#include "ctl/world.h"

namespace sockmesh::ctl {

Result<HttpReply> ask_agent(const std::string& run_dir, const std::string& method, const std::string& target);

}  // namespace sockmesh::ctl
