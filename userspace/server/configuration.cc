#include "server/configuration.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/one_line.h"

namespace sockmesh::server {

namespace {

constexpr Duration kMissingFolderPause = std::chrono::seconds(1);
// While what is there may not be used and nothing else is in force: reading everything again costs what it
// costs.
constexpr Duration kHeldPause = std::chrono::seconds(5);

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
      settle_(loop.timer([this] { look_again(); })) {
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
      spdlog::warn("{}; connections are held until there is a configuration",
                   one_line(watch.error().message));
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
  load(Look::kChanges);
}

void Configuration::look_again() {
  if (!source_) return open();
  // What could not be read at start may become readable without an event: out of descriptors, a stale mount.
  load(in_force() ? Look::kChanges : Look::kEverything);
}

void Configuration::reload() { source_ ? load(Look::kEverything) : open(); }

void Configuration::load(Look look) {
  auto loaded = source_->load(look);
  watch_.set_events(EPOLLIN);
  // Without a change what was decided about it stands; its resources may have been let go of.
  const bool news = loaded.changed || !in_force() || !loaded.complete;
  if (news) refusal_ = refusal_of(loaded);
  report(loaded);
  if (!in_force() && !refusal_.empty()) settle_->set(kHeldPause);
  if (news && refusal_.empty()) publish(std::move(loaded.resources));
}

std::string Configuration::refusal_of(const config::FolderSource::Loaded& loaded) const {
  if (!loaded.complete) return "nothing changes until the folder can be read as a whole";
  return config::refusal({loaded.resources, loaded.problems, loaded.unreadable}, identity_,
                         policy_ ? &*policy_ : nullptr);
}

void Configuration::report(const config::FolderSource::Loaded& loaded) {
  std::vector<std::string> problems;
  if (!refusal_.empty())
    problems.push_back(fmt::format("configuration refused, {}: {}",
                                   in_force() ? "what is in force stays" : "connections are held", refusal_));
  for (const config::ReadProblem& problem : loaded.problems) problems.push_back(problem.to_string());
  const std::string where = fmt::format("`sockmeshctl analyze {}` tells all", folder_);
  const size_t unlisted = loaded.problem_count - std::min(loaded.problem_count, loaded.problems.size());
  for (const std::string& line : log_.lines(problems, problems.size() + unlisted, where, loop_.now()))
    spdlog::warn("{}", line);

  const bool dropped = std::any_of(loaded.problems.begin(), loaded.problems.end(),
                                   [](const config::ReadProblem& problem) { return problem.object_dropped; });
  const std::lock_guard lock(mutex_);
  if (loaded.changed && (dropped || !refusal_.empty())) ++status_.rejected;
  status_.problems = loaded.problem_count;
  status_.refused = !refusal_.empty();
  status_.last_error = !refusal_.empty()         ? refusal_
                       : loaded.problems.empty() ? ""
                                                 : loaded.problems.front().to_string();
}

void Configuration::publish(config::Resources resources) {
  const MonotonicTime began = monotonic_now();
  policy_ = config::policy_objects(resources, identity_);
  const model::SnapshotPtr made = compile(std::move(resources));
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

admin::ConfigStatus Configuration::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace sockmesh::server
