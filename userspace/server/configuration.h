// Configuration: the folder of manifests, watched; each change compiled and published. What is broken is
// logged with file:line and leaves the last good configuration in force. Runs on the main loop; status() may
// be asked from any thread.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "admin/sources.h"
#include "config/compiler.h"
#include "config/folder_source.h"
#include "event/watched_fd.h"

namespace sockmesh::server {

class Configuration {
 public:
  using Publish = std::function<void(model::SnapshotPtr)>;
  Configuration(event::Loop& loop, std::string folder, config::ProxyIdentity identity, Publish publish);

  // Loads and publishes at once when the folder is there; else as soon as it is.
  void start();
  void reload();  // looks again, whether or not something seems to have changed

  admin::ConfigStatus status() const;

 private:
  void open();
  void load();
  model::SnapshotPtr compile(config::Resources resources);
  void report(const std::vector<config::ReadProblem>& problems);

  event::Loop& loop_;
  const std::string folder_;
  const config::ProxyIdentity identity_;
  const Publish publish_;
  std::unique_ptr<config::FolderSource> source_;
  event::WatchedFd watch_;                      // of the source, duplicated
  std::unique_ptr<config::Compiler> compiler_;  // null: nothing is kept between changes
  std::unique_ptr<event::Timer> settle_;  // after a change: load; while the folder is missing: look again
  uint64_t generation_ = 0;
  model::SnapshotPtr snapshot_;     // in force
  std::set<std::string> reported_;  // problems of the last load, so that each is logged once

  mutable std::mutex mutex_;
  admin::ConfigStatus status_;  // under mutex_
};

}  // namespace sockmesh::server
