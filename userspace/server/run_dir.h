// The run directory: the admin socket and the pid file live there. One agent a directory: the pid file is
// locked for life, so a second agent fails instead of taking the socket over. Main thread.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace sockmesh::server {

class RunDir {
 public:
  // Makes the directory (and its parents) when it is not there and gives it to `uid` and `gid`; one that is
  // there must be writable for them.
  static Result<RunDir> claim(std::string path, uid_t uid, gid_t gid);
  RunDir(RunDir&&) = default;
  ~RunDir();  // removes the pid file

  std::string socket_path() const { return path_ + "/admin.sock"; }
  std::string pid_path() const { return path_ + "/sockmesh-agent.pid"; }

 private:
  explicit RunDir(std::string path) : path_(std::move(path)) {}

  std::string path_;
  Fd pid_file_;
};

}  // namespace sockmesh::server
