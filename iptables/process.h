// Running another program without a shell: arguments as a vector, input and output in memory, a time limit.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace sockmesh::iptables {

struct Invocation {
  std::vector<std::string> argv;              // argv[0] is looked up in PATH
  std::string input;                          // for its standard input
  std::vector<std::string> environment = {};  // "NAME=value", on top of the caller's
  int user_namespace = -1;  // descriptor to enter before the program starts, or -1; borrowed
};

struct Outcome {
  int exit_code = 0;  // 128 + n if killed by signal n
  std::string output, errors;
  bool ok() const { return exit_code == 0; }
};

// The effect behind everything that runs a program; tests put their own in its place.
using Runner = std::function<Result<Outcome>(const Invocation&)>;

// Starts the program in the calling thread's namespaces and waits for it. Fails if it cannot be started,
// prints more than 16 MiB or runs longer than 90 seconds (xtables' own lock wait is 30). Blocks; any thread.
Result<Outcome> run_program(const Invocation& invocation);

}  // namespace sockmesh::iptables
