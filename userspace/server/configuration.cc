#include "server/configuration.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/one_line.h"
#include "config/source/folder.h"

namespace sockmesh::server {

namespace {

constexpr Duration kMissingPause = std::chrono::seconds(1);
// While what is there may not be used and nothing else is in force: reading everything again costs what it
// costs.
constexpr Duration kHeldPause = std::chrono::seconds(5);
// Of subscribers that something is refused for: so many are named in the line that says so.
constexpr size_t kNamed = 3;

std::vector<config::ProxyIdentity> identities(const std::vector<Subscriber>& subscribers) {
  std::vector<config::ProxyIdentity> all;
  for (const Subscriber& one : subscribers) all.push_back(one.identity);
  return all;
}

std::string name_of(const Subscriber& subscriber) {
  return subscriber.identity.ns + "/" + subscriber.identity.pod;
}

}  // namespace

Origin folder_origin(const std::string& folder) {
  return {"folder", folder, [folder]() -> Result<std::unique_ptr<config::ResourceSource>> {
            SOCKMESH_TRY(source, config::FolderSource::open(folder));
            return std::unique_ptr<config::ResourceSource>(std::move(source));
          }};
}

Configuration::Configuration(event::Loop& loop, Origin origin, std::vector<Subscriber> subscribers)
    : loop_(loop),
      origin_(std::move(origin)),
      compiler_(identities(subscribers)),
      settle_(loop.timer([this] { look_again(); })) {
  for (Subscriber& one : subscribers) served_.push_back({std::move(one), nullptr, std::nullopt, ""});
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
  load(somebody(&Served::held) || !somebody(&Served::in_force) ? Look::kEverything : Look::kChanges);
}

void Configuration::reload() { source_ ? load(Look::kEverything) : open(); }

void Configuration::load(Look look) {
  auto loaded = source_->load(look);
  watch_.set_events(EPOLLIN);
  // Without a change what was decided about it stands; its resources may have been let go of.
  const bool news = loaded.changed || !somebody(&Served::in_force) || !loaded.unusable.empty();
  if (news)
    for (Served& one : served_) one.refusal = refusal_of(loaded, one);
  report(loaded);
  if (somebody(&Served::held)) settle_->set(kHeldPause);
  if (news && somebody(&Served::admitted)) publish(std::move(loaded));
}

bool Configuration::somebody(bool (Served::*is)() const) const {
  return std::any_of(served_.begin(), served_.end(), [&](const Served& one) { return (one.*is)(); });
}

std::string Configuration::refusal_of(const Loaded& loaded, const Served& served) {
  if (!loaded.unusable.empty()) return loaded.unusable;
  return config::refusal({loaded.resources, loaded.problems, loaded.unreadable}, served.subscriber.identity,
                         served.policy ? &*served.policy : nullptr);
}

// A line for each reason, and not for each subscriber: one file may concern a hundred.
std::vector<std::string> Configuration::refusals() const {
  std::map<std::pair<bool, std::string>, std::vector<std::string>> whom;
  for (const Served& one : served_)
    if (!one.admitted()) whom[{one.in_force(), one.refusal}].push_back(name_of(one.subscriber));
  std::vector<std::string> lines;
  for (const auto& [what, names] : whom) {
    std::string list;
    for (size_t i = 0; i < std::min(names.size(), kNamed); ++i) list += (i == 0 ? " for " : ", ") + names[i];
    if (names.size() > kNamed) list += fmt::format(" and {} more", names.size() - kNamed);
    lines.push_back(fmt::format("configuration refused{}, {}: {}", names.size() == served_.size() ? "" : list,
                                what.first ? "what is in force stays" : "connections are held", what.second));
  }
  return lines;
}

void Configuration::report(const Loaded& loaded) {
  std::vector<std::string> problems = refusals();
  const auto refused =
      std::find_if(served_.begin(), served_.end(), [](const Served& one) { return !one.admitted(); });
  for (const config::ReadProblem& problem : loaded.problems) problems.push_back(problem.to_string());
  const std::string where = fmt::format("`sockmeshctl analyze {}` tells all", origin_.location);
  const size_t unlisted = loaded.problem_count - std::min(loaded.problem_count, loaded.problems.size());
  for (const std::string& line : log_.lines(problems, problems.size() + unlisted, where, loop_.now()))
    spdlog::warn("{}", line);

  const bool dropped = std::any_of(loaded.problems.begin(), loaded.problems.end(),
                                   [](const config::ReadProblem& problem) { return problem.object_dropped; });
  const Lock lock(mutex_);
  status_.refused = refused != served_.end();
  if (loaded.changed && (dropped || status_.refused)) ++status_.rejected;
  status_.problems = loaded.problem_count;
  status_.last_error = status_.refused           ? refused->refusal
                       : loaded.problems.empty() ? ""
                                                 : loaded.problems.front().to_string();
}

void Configuration::publish(Loaded loaded) {
  using Keep = config::Compiler::Keep;
  const MonotonicTime began = monotonic_now();
  std::vector<bool> refused;
  for (Served& one : served_) {
    refused.push_back(!one.admitted());
    if (one.admitted()) one.policy = config::policy_objects(loaded.resources, one.subscriber.identity);
  }
  const std::vector<model::SnapshotPtr> made = compiler_.compile(
      std::move(loaded.resources), loaded.kept ? Keep::kResources : Keep::kNothing, refused);
  source_->taken();
  std::vector<News> news;
  for (size_t i = 0; i < served_.size(); ++i)
    if (made[i] && made[i] != served_[i].snapshot) {
      news.push_back({served_[i], std::exchange(served_[i].snapshot, made[i])});
    }
  if (news.empty()) return;
  {
    const Lock lock(mutex_);
    status_.loaded = wall_now();
  }
  tell(news, monotonic_now() - began);
  for (const News& one : news) one.to.subscriber.publish(one.to.snapshot);
}

void Configuration::tell(const std::vector<News>& news, Duration took) const {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
  // Objects that concern other pods come and go; that is not news.
  const auto level = [](bool other) { return other ? spdlog::level::info : spdlog::level::debug; };
  const auto parts = [](const model::Snapshot& made) {
    return fmt::format("{} listeners, {} clusters, {} findings", made.listeners.size(), made.clusters.size(),
                       made.findings.size());
  };
  if (served_.size() == 1) {
    const model::Snapshot& made = *news.front().to.snapshot;
    spdlog::log(level(news.front().other_version()), "configuration {} (version {}): {}, compiled in {} ms",
                made.generation, made.version, parts(made), ms);
    return;
  }
  // One line, since a change of the mesh may be news to a hundred.
  for (const News& one : news)
    spdlog::debug("configuration {} (version {}) for {}: {}", one.to.snapshot->generation,
                  one.to.snapshot->version, name_of(one.to.subscriber), parts(*one.to.snapshot));
  const auto others =
      std::count_if(news.begin(), news.end(), [](const News& one) { return one.other_version(); });
  spdlog::log(level(others > 0), "configuration for {} pods, another version for {}, compiled in {} ms",
              served_.size(), others, ms);
}

admin::ConfigStatus Configuration::status() const {
  const Lock lock(mutex_);
  return status_;
}

}  // namespace sockmesh::server
