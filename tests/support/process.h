// Process: a program as a child, optionally in another network namespace and as another user, its output kept
// in a file. It is killed, with all of its process group, when the object goes. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace sockmesh::test {

class Netns;

struct ProcessOptions {
  std::vector<std::string> argv;
  const Netns* netns = nullptr;            // where it runs; here when null
  std::optional<uid_t> uid;                // uid and gid to run as
  std::map<std::string, std::string> env;  // added to this process's environment
  std::string output;  // file for stdout and stderr, appended to; a temporary one when empty
};

class Process {
 public:
  static Result<Process> start(const ProcessOptions& options);
  Process() = default;
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  pid_t pid() const { return pid_; }
  bool running();
  void signal(int number) const;  // to the program alone
  // Its exit status (128 + signal if a signal ended it). An error if it still runs after patient(deadline).
  Result<int> wait(std::chrono::milliseconds deadline = std::chrono::seconds(30));
  // SIGTERM, then SIGKILL to the whole group; the exit status.
  int stop(std::chrono::milliseconds deadline = std::chrono::seconds(10));
  void kill();
  std::string output() const;  // what it printed so far

 private:
  void release();

  pid_t pid_ = -1;
  std::optional<int> status_;
  std::string output_;
  bool own_output_ = false;
};

struct CommandResult {
  int status = 0;
  std::string output;  // stdout and stderr
};

// Runs a program to its end. Throws std::runtime_error if it cannot be started or does not end in time.
CommandResult run(const ProcessOptions& options,
                  std::chrono::milliseconds deadline = std::chrono::seconds(60));
// The same, and throws if the exit status is not 0. For what a test takes for granted.
std::string must_run(const std::vector<std::string>& argv, const Netns* netns = nullptr);

// The program NAME of this build (sockmesh-agent, sm-streams, ...): ../../bin beside the test, or
// SOCKMESH_BIN.
std::string built_program(const std::string& name);

}  // namespace sockmesh::test
