// Configuration: the objects of a ResourceSource, watched; each change compiled and published, unless an
// error in it would widen policy (config/source/admission.h). What is broken is logged with file:line, within
// bounds (problem_log.h), and leaves its last good version in force; while there is none of what decides
// policy, nothing is published and connections wait. Thread rule: that of SnapshotSource.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "config/compiler/compiler.h"
#include "config/source/admission.h"
#include "config/source/resource_source.h"
#include "event/watched_fd.h"
#include "server/problem_log.h"
#include "server/snapshot_source.h"

namespace sockmesh::server {

// A source by name, to be opened when it is there.
struct Origin {
  std::string kind;      // "folder", as in ConfigStatus::source
  std::string location;  // the folder
  std::function<Result<std::unique_ptr<config::ResourceSource>>()> open;
};
Origin folder_origin(const std::string& folder);

class Configuration final : public SnapshotSource {
 public:
  Configuration(event::Loop& loop, Origin origin, config::ProxyIdentity identity, Publish publish);

  void start() override;
  void reload() override;
  admin::ConfigStatus status() const override;

 private:
  using Look = config::ResourceSource::Look;
  using Loaded = config::ResourceSource::Loaded;

  void open();
  void look_again();
  void load(Look look);
  std::string refusal_of(const Loaded& loaded) const;
  void report(const Loaded& loaded);
  void publish(Loaded loaded);
  bool in_force() const { return policy_.has_value(); }

  event::Loop& loop_;
  const Origin origin_;
  const config::ProxyIdentity identity_;
  const Publish publish_;
  std::unique_ptr<config::ResourceSource> source_;
  event::WatchedFd watch_;  // of the source, duplicated
  config::Compiler compiler_;
  std::unique_ptr<event::Timer> settle_;  // after a change: load; while nothing is in force: look again
  model::SnapshotPtr snapshot_;           // in force
  std::optional<config::PolicyObjects> policy_;  // of what is in force; none: nothing is
  std::string refusal_;                          // of the last load, "" when it was admitted
  ProblemLog log_;

  mutable Mutex mutex_;
  admin::ConfigStatus status_ SOCKMESH_GUARDED_BY(mutex_);
};

}  // namespace sockmesh::server
