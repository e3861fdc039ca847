// Configuration: the objects of a ResourceSource, watched; each change compiled for every subscriber and
// published to it, unless an error in it would widen its policy (config/source/admission.h). What is broken
// is logged with file:line, within bounds (problem_log.h), and leaves its last good version in force.
// Admission is each subscriber's own: whom a change is refused for keeps what it has, while the others get
// theirs; while a subscriber has none of what decides its policy, nothing is published to it and its
// connections wait. Thread rule: that of SnapshotSource.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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

// A proxy, and who acts by its snapshots.
struct Subscriber {
  config::ProxyIdentity identity;
  SnapshotSource::Publish publish;
};

class Configuration final : public SnapshotSource {
 public:
  Configuration(event::Loop& loop, Origin origin, std::vector<Subscriber> subscribers);

  void start() override;
  void reload() override;
  // Of all subscribers: refused when it is so for one of them, with the first reason there is.
  admin::ConfigStatus status() const override;

 private:
  using Look = config::ResourceSource::Look;
  using Loaded = config::ResourceSource::Loaded;

  // A subscriber and what is decided for it.
  struct Served {
    Subscriber subscriber;
    model::SnapshotPtr snapshot;                  // in force
    std::optional<config::PolicyObjects> policy;  // of what is in force; none: nothing is
    std::string refusal;                          // of the last load, "" when it was admitted
    bool in_force() const { return policy.has_value(); }
    bool admitted() const { return refusal.empty(); }
    bool held() const { return !in_force() && !admitted(); }
  };
  // A snapshot that takes the place of another one.
  struct News {
    const Served& to;
    model::SnapshotPtr before;
    bool other_version() const { return !before || before->version != to.snapshot->version; }
  };

  void open();
  void look_again();
  void load(Look look);
  bool somebody(bool (Served::*is)() const) const;
  static std::string refusal_of(const Loaded& loaded, const Served& served);
  std::vector<std::string> refusals() const;
  void report(const Loaded& loaded);
  void publish(Loaded loaded);
  void tell(const std::vector<News>& news, Duration took) const;

  event::Loop& loop_;
  const Origin origin_;
  std::unique_ptr<config::ResourceSource> source_;
  event::WatchedFd watch_;  // of the source, duplicated
  std::vector<Served> served_;
  config::Compiler compiler_;             // for these, in their order
  std::unique_ptr<event::Timer> settle_;  // after a change: load; while somebody is held: look again
  ProblemLog log_;

  mutable Mutex mutex_;
  admin::ConfigStatus status_ SOCKMESH_GUARDED_BY(mutex_);
};

}  // namespace sockmesh::server
