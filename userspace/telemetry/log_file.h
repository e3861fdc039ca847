// LogFile: lines to a file, never in the way of those who write them. append() only copies into a bounded
// buffer; a thread of its own writes it out, reopens the file when it was renamed, and drops (counting) what
// does not fit while the file is slow. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mutex.h"
#include "base/result.h"

namespace sockmesh::telemetry {

class LogFile {
 public:
  struct Limits {
    size_t buffered_bytes = 4 << 20;                    // waiting to be written; more is dropped
    Duration flush_on_close = std::chrono::seconds(2);  // how long the destructor may take
  };
  // "/dev/stdout" and "/dev/stderr" are the process's own descriptors: opening them by name fails when they
  // are sockets (as under systemd). Files are created with mode 0644 and appended to.
  static Result<std::unique_ptr<LogFile>> open(std::string path, Limits limits);
  static Result<std::unique_ptr<LogFile>> open(std::string path) { return open(std::move(path), Limits{}); }
  ~LogFile();  // writes what is buffered, for at most `flush_on_close`
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  void append(std::string_view line);  // whole lines with their newline; never blocks on the file
  void reopen();                       // SIGHUP: before the next write, look the path up anew
  // Until everything appended so far is written or `deadline` passed; false: it passed.
  bool flush(Duration deadline);

  const std::string& path() const { return path_; }
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }  // lines
  uint64_t written() const { return written_.load(std::memory_order_relaxed); }  // bytes

 private:
  LogFile(std::string path, Limits limits, Fd fd, bool by_name);
  void run();
  void write_out(std::string_view data);
  bool wait_writable();
  void reopen_if_renamed();

  const std::string path_;
  const Limits limits_;
  const bool by_name_;  // opened by path, so that it can be reopened
  std::atomic<uint64_t> dropped_{0}, written_{0};
  std::atomic<bool> reopen_{false};

  // Writer thread only.
  Fd fd_;
  bool never_blocks_ = false;  // a regular file
  MonotonicTime checked_{};

  Mutex mutex_;
  Condition wake_, idle_;
  std::string buffer_ SOCKMESH_GUARDED_BY(mutex_);
  // The thread holds a part that is not written yet.
  bool writing_ SOCKMESH_GUARDED_BY(mutex_) = false;
  bool closing_ SOCKMESH_GUARDED_BY(mutex_) = false;
  MonotonicTime close_deadline_ SOCKMESH_GUARDED_BY(mutex_){};

  std::thread thread_;  // last: starts when everything above stands
};

}  // namespace sockmesh::telemetry
