// AccessLog: one line per connection, in the format and to the file that MeshConfig asks for. Shared by all
// workers. Thread-safe; append() never waits for the file.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "model/snapshot.h"
#include "telemetry/connection_record.h"
#include "telemetry/log_file.h"
#include "telemetry/log_format.h"

namespace sockmesh::telemetry {

class AccessLog {
 public:
  AccessLog();  // off until configured
  ~AccessLog();

  // Follows the settings of a new Snapshot; does nothing when they did not change. On an error (file cannot
  // be opened) what was in force stays. What the format says wrong is returned as warnings, and logged. One
  // thread (configuration).
  Result<std::vector<std::string>> configure(const model::MeshSettings& mesh);

  void append(const ConnectionRecord& record);
  void reopen();                  // SIGHUP
  bool flush(Duration deadline);  // shutdown; false: time was up first
  uint64_t lines() const;         // handed to the file since start
  uint64_t dropped() const;       // lines lost since start, because the file was slow or failed

 private:
  struct Target {  // immutable: replaced as a whole
    LogFormat format;
    std::shared_ptr<LogFile> file;
    std::string path, format_text, compatibility;
    model::AccessLogEncoding encoding;
  };
  std::shared_ptr<const Target> target() const;

  mutable Mutex mutex_;
  std::shared_ptr<const Target> target_ SOCKMESH_GUARDED_BY(mutex_);  // null: off
  uint64_t dropped_by_former_files_ SOCKMESH_GUARDED_BY(mutex_) = 0;
  std::atomic<uint64_t> lines_{0};
};

}  // namespace sockmesh::telemetry
