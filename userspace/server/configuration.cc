#include "server/configuration.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace sockmesh::server {

namespace {

constexpr Duration kMissingFolderPause = std::chrono::seconds(1);

// Up to so many objects are kept in parsed form, some 4 KB each, so that a change is compiled in
// milliseconds. With more, what the agent decides by is all that it keeps (1.5 KB an object), and a change
// reads and compiles everything: a second for 20,000.
constexpr size_t kKeptObjects = 2000;

size_t object_count(const config::Resources& resources) {
  return resources.services.size() + resources.pods.size() + resources.endpoints.size() +
         resources.workload_entries.size() + resources.service_entries.size() +
         resources.virtual_services.size() + resources.destination_rules.size();
}

}  // namespace

Configuration::Configuration(event::Loop& loop, std::string folder, config::ProxyIdentity identity,
                             Publish publish)
    : loop_(loop),
      folder_(std::move(folder)),
      identity_(std::move(identity)),
      publish_(std::move(publish)),
      settle_(loop.timer([this] { source_ ? load() : open(); })) {
  status_.source = "folder";
  status_.location = folder_;
}

void Configuration::start() { open(); }

void Configuration::open() {
  auto source = config::FolderSource::open(folder_);
  auto watch = source ? event::WatchedFd::duplicate((*source)->watch_fd())
                      : Result<event::WatchedFd>(fail(source.error()));
  if (!watch) {
    const std::lock_guard lock(mutex_);
    if (status_.last_error != watch.error().message)
      spdlog::warn("{}; connections are held until there is a configuration", watch.error().message);
    status_.last_error = watch.error().message;
    settle_->set(kMissingFolderPause);
    return;
  }
  source_ = std::move(*source);
  watch_ = std::move(*watch);
  watch_.watch(loop_, EPOLLIN, [this](uint32_t) {
    watch_.set_events(0);  // load() drains it
    settle_->set(config::FolderSource::kSettleTime);
  });
  load();
}

void Configuration::reload() {
  if (source_) load();
}

void Configuration::load() {
  auto loaded = source_->load();
  watch_.set_events(EPOLLIN);
  report(loaded.problems);
  const bool first = generation_ == 0;
  {
    const std::lock_guard lock(mutex_);
    const bool dropped =
        std::any_of(loaded.problems.begin(), loaded.problems.end(),
                    [](const config::ReadProblem& problem) { return problem.object_dropped; });
    if (dropped) ++status_.rejected;
    status_.last_error = loaded.problems.empty() ? "" : loaded.problems.front().to_string();
  }
  if (!loaded.complete) {
    spdlog::warn("nothing changes until the folder can be read as a whole");
    return;
  }
  if (!loaded.changed && !first) return;

  const MonotonicTime began = monotonic_now();
  const model::SnapshotPtr made = compile(std::move(loaded.resources));
  if (made == snapshot_) return;
  // The compiler made it a moment ago and nobody else has seen it yet.
  const auto snapshot = std::const_pointer_cast<model::Snapshot>(made);
  snapshot->generation = ++generation_;
  {
    const std::lock_guard lock(mutex_);
    status_.loaded = wall_now();
  }
  // Objects that concern other pods come and go; that is not news.
  spdlog::log(
      snapshot_ && snapshot->version == snapshot_->version ? spdlog::level::debug : spdlog::level::info,
      "configuration {} (version {}): {} listeners, {} clusters, {} findings, compiled in {} ms",
      snapshot->generation, snapshot->version, snapshot->listeners.size(), snapshot->clusters.size(),
      snapshot->findings.size(),
      std::chrono::duration_cast<std::chrono::milliseconds>(monotonic_now() - began).count());
  snapshot_ = snapshot;
  publish_(snapshot);
}

model::SnapshotPtr Configuration::compile(config::Resources resources) {
  if (object_count(resources) > kKeptObjects) {
    compiler_.reset();
    source_->forget();
    return config::compile(resources, identity_);
  }
  if (!compiler_) compiler_ = std::make_unique<config::Compiler>(identity_);
  return compiler_->compile(std::move(resources));
}

void Configuration::report(const std::vector<config::ReadProblem>& problems) {
  std::set<std::string> now;
  for (const config::ReadProblem& problem : problems) {
    std::string text = problem.to_string();
    if (!reported_.contains(text)) spdlog::warn("{}", text);
    now.insert(std::move(text));
  }
  reported_ = std::move(now);
}

admin::ConfigStatus Configuration::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace sockmesh::server
