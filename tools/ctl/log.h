// Log levels, as `log` and `proxy-config log` show and set them.
#pragma once

#include <string>

#include "ctl/command.h"

namespace sockmesh::ctl {

struct LogOptions {
  std::string level;
  bool reset = false;
  std::string pod;  // not empty: the answer begins with the agent's "pod.ns:", as istioctl's does
};
Result<int> run_log(Context& context, const LogOptions& options);
Result<std::string> logging_target(const std::string& levels);  // "debug", "agent:debug,connection=info", ""

}  // namespace sockmesh::ctl
