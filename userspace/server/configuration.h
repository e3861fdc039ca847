// Configuration: the folder of manifests, watched; each change compiled and published, unless an error in it
// would widen policy (config/source/admission.h). What is broken is logged with file:line, within bounds
// (problem_log.h), and leaves its last good version in force; while there is none of what decides policy,
// nothing is published and connections wait. Runs on the main loop; status() may be asked from any thread.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "admin/sources.h"
#include "config/compiler/compiler.h"
#include "config/source/admission.h"
#include "config/source/folder.h"
#include "event/watched_fd.h"
#include "server/problem_log.h"

namespace sockmesh::server {

class Configuration {
 public:
  using Publish = std::function<void(model::SnapshotPtr)>;
  Configuration(event::Loop& loop, std::string folder, config::ProxyIdentity identity, Publish publish);

  // Loads and publishes at once when the folder is there and can be admitted; else as soon as it is.
  void start();
  void reload();  // reads everything again, whether or not something seems to have changed

  admin::ConfigStatus status() const;

 private:
  using Look = config::FolderSource::Look;

  void open();
  void look_again();
  void load(Look look);
  std::string refusal_of(const config::FolderSource::Loaded& loaded) const;
  void report(const config::FolderSource::Loaded& loaded);
  void publish(config::Resources resources);
  model::SnapshotPtr compile(config::Resources resources);
  bool in_force() const { return policy_.has_value(); }

  event::Loop& loop_;
  const std::string folder_;
  const config::ProxyIdentity identity_;
  const Publish publish_;
  std::unique_ptr<config::FolderSource> source_;
  event::WatchedFd watch_;                      // of the source, duplicated
  std::unique_ptr<config::Compiler> compiler_;  // null: nothing is kept between changes
  std::unique_ptr<event::Timer> settle_;        // after a change: load; while nothing is in force: look again
  uint64_t generation_ = 0;
  model::SnapshotPtr snapshot_;                  // in force
  std::optional<config::PolicyObjects> policy_;  // of what is in force; none: nothing is
  std::string refusal_;                          // of the last load, "" when it was admitted
  ProblemLog log_;

  mutable std::mutex mutex_;
  admin::ConfigStatus status_;  // under mutex_
};

}  // namespace sockmesh::server
