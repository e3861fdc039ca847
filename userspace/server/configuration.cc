#include "server/configuration.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/one_line.h"
#include "config/source/folder.h"

namespace sockmesh::server {

namespace {

constexpr Duration kMissingPause = std::chrono::seconds(1);
// While what is there may not be used and nothing else is in force: reading everything again costs what it
// costs.
constexpr Duration kHeldPause = std::chrono::seconds(5);

}  // namespace

Origin folder_origin(const std::string& folder) {
  return {"folder", folder, [folder]() -> Result<std::unique_ptr<config::ResourceSource>> {
            SOCKMESH_TRY(source, config::FolderSource::open(folder));
            return std::unique_ptr<config::ResourceSource>(std::move(source));
          }};
}

Configuration::Configuration(event::Loop& loop, Origin origin, config::ProxyIdentity identity,
                             Publish publish)
    : loop_(loop),
      origin_(std::move(origin)),
      identity_(std::move(identity)),
      publish_(std::move(publish)),
      compiler_({identity_}),
      settle_(loop.timer([this] { look_again(); })) {
  status_.source = origin_.kind;
  status_.location = origin_.location;
}

void Configuration::start() { open(); }

void Configuration::open() {
  auto source = origin_.open();
  auto watch = source ? event::WatchedFd::duplicate((*source)->watch_fd())
                      : Result<event::WatchedFd>(fail(source.error()));
  if (!watch) {
    const Lock lock(mutex_);
    if (status_.last_error != watch.error().message)
      spdlog::warn("{}; connections are held until there is a configuration",
                   one_line(watch.error().message));
    status_.last_error = watch.error().message;
    settle_->set(kMissingPause);
    return;
  }
  source_ = std::move(*source);
  watch_ = std::move(*watch);
  watch_.watch(loop_, EPOLLIN, [this](uint32_t) {
    watch_.set_events(0);  // load() drains it
    settle_->set(source_->settle_time());
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
  const bool news = loaded.changed || !in_force() || !loaded.unusable.empty();
  if (news) refusal_ = refusal_of(loaded);
  report(loaded);
  if (!in_force() && !refusal_.empty()) settle_->set(kHeldPause);
  if (news && refusal_.empty()) publish(std::move(loaded));
}

std::string Configuration::refusal_of(const Loaded& loaded) const {
  if (!loaded.unusable.empty()) return loaded.unusable;
  return config::refusal({loaded.resources, loaded.problems, loaded.unreadable}, identity_,
                         policy_ ? &*policy_ : nullptr);
}

void Configuration::report(const Loaded& loaded) {
  std::vector<std::string> problems;
  if (!refusal_.empty())
    problems.push_back(fmt::format("configuration refused, {}: {}",
                                   in_force() ? "what is in force stays" : "connections are held", refusal_));
  for (const config::ReadProblem& problem : loaded.problems) problems.push_back(problem.to_string());
  const std::string where = fmt::format("`sockmeshctl analyze {}` tells all", origin_.location);
  const size_t unlisted = loaded.problem_count - std::min(loaded.problem_count, loaded.problems.size());
  for (const std::string& line : log_.lines(problems, problems.size() + unlisted, where, loop_.now()))
    spdlog::warn("{}", line);

  const bool dropped = std::any_of(loaded.problems.begin(), loaded.problems.end(),
                                   [](const config::ReadProblem& problem) { return problem.object_dropped; });
  const Lock lock(mutex_);
  if (loaded.changed && (dropped || !refusal_.empty())) ++status_.rejected;
  status_.problems = loaded.problem_count;
  status_.refused = !refusal_.empty();
  status_.last_error = !refusal_.empty()         ? refusal_
                       : loaded.problems.empty() ? ""
                                                 : loaded.problems.front().to_string();
}

void Configuration::publish(Loaded loaded) {
  using Keep = config::Compiler::Keep;
  const MonotonicTime began = monotonic_now();
  policy_ = config::policy_objects(loaded.resources, identity_);
  const model::SnapshotPtr made =
      compiler_.compile(std::move(loaded.resources), loaded.kept ? Keep::kResources : Keep::kNothing).front();
  source_->taken();
  if (made == snapshot_) return;
  {
    const Lock lock(mutex_);
    status_.loaded = wall_now();
  }
  // Objects that concern other pods come and go; that is not news.
  spdlog::log(snapshot_ && made->version == snapshot_->version ? spdlog::level::debug : spdlog::level::info,
              "configuration {} (version {}): {} listeners, {} clusters, {} findings, compiled in {} ms",
              made->generation, made->version, made->listeners.size(), made->clusters.size(),
              made->findings.size(),
              std::chrono::duration_cast<std::chrono::milliseconds>(monotonic_now() - began).count());
  snapshot_ = made;
  publish_(made);
}

admin::ConfigStatus Configuration::status() const {
  const Lock lock(mutex_);
  return status_;
}

}  // namespace sockmesh::server
