// World: everything outside that the commands touch, as values and functions, so that a test runs
// `sockmeshctl ARGS` in-process with a world of its own. main.cc makes the real one.
#pragma once

#include <functional>
#include <ostream>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace sockmesh::ctl {

struct HttpReply {
  int status = 0;
  std::string body;
};

struct World {
  std::ostream& out;
  std::ostream& err;
  std::function<std::string(const char* name)> env;  // "" when not set
  // One request over <run_dir>/admin.sock. An error when nobody answers there, with what to check.
  std::function<Result<HttpReply>(const std::string& run_dir, const std::string& method,
                                  const std::string& target)>
      http;
  std::function<Result<std::string>(const std::string& path)> read_file;  // "-" is standard input
  std::function<WallTime()> now;
  std::function<bool(Duration)> pause;  // waits; false: the person wants to stop (--watch)
};

}  // namespace sockmesh::ctl
