#include "app_lanes/direct_lane.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>

#include "app_lanes/direct_flows.h"
#include "app_lanes/kernel_table.h"
#include "base/mutex.h"
#include "bpf/direct_events.h"
#include "direct/decisions.h"
#include "direct/delta.h"
#include "event/loop.h"
#include "event/watched_fd.h"

namespace sockmesh::app_lanes {

namespace {

constexpr Duration kHealthPeriod = std::chrono::milliseconds(250);  // an ejection is in force after that
// While events come, they are taken so often and not one by one: waking up costs more than an event.
constexpr Duration kBatchPeriod = std::chrono::milliseconds(5);
// How old the kernel's knowledge of what the agent carries may be, where a cluster has a bound for both.
constexpr Duration kSharePeriod = std::chrono::milliseconds(100);
constexpr Duration kLookPeriod = std::chrono::seconds(5);  // as Istio's report of bytes

direct::RememberedNumbers remembered_by(const std::vector<direct_record>& flows, uint64_t since) {
  direct::RememberedNumbers remembered;
  remembered.since = since;
  for (const direct_record& one : flows) {
    remembered.live.insert(one.flow.cluster_live);
    remembered.live.insert(one.flow.host_live);
    remembered.clusters.insert(one.flow.cluster);
  }
  return remembered;
}

}  // namespace

struct DirectLane::Carried {
  Carried(pod::Pod& of, bpf::DirectMaps& kernel, event::Loop& in, const model::DirectTerms& terms,
          const direct::RememberedNumbers& inherited, std::shared_ptr<telemetry::AccessLog> log,
          uint16_t number)
      : pod(of),
        maps(kernel),
        loop(in),
        earlier(inherited.since),
        decisions(of.clusters, of.names, terms, inherited),
        flows(of, number, std::move(log), [this](const direct_flow& flow) { return led_by(flow); }),
        batch(in.timer([this] { take_batch(); })),
        share(in.timer([this] { share_counts(); })),
        health(in.timer([this] { look_at_health(); })),
        period(in.timer([this] {
          look();
          flows.report_bytes();
          period->set(kLookPeriod);
        })) {}

  // --- decisions ---
  void publish(model::SnapshotPtr next);
  void update(bool anyway);
  bool apply(const direct::Tables& next);
  Result<void> clear();
  void look_at_health();
  void share_counts();
  void set_trouble(std::string text);
  void set_detached(bool now);
  void count_entries();

  // --- flows ---
  Result<void> follow();
  void take_batch();
  void look();
  LedBy led_by(const direct_flow& flow) const;

  pod::Pod& pod;
  bpf::DirectMaps& maps;
  event::Loop& loop;
  const uint64_t earlier;  // generations up to it are of an earlier process

  model::SnapshotPtr snapshot;
  direct::Decisions decisions;
  bool known = false;                                // what the kernel has: `tables`
  direct::Tables tables;                             // in force
  MonotonicTime in_force{};                          // since when
  std::map<uint64_t, model::SnapshotPtr> snapshots;  // by generation: in force, or remembered by flows
  std::optional<direct::RememberedNumbers> remembered;

  DirectFlows flows;
  std::unique_ptr<bpf::DirectEvents> events;
  event::WatchedFd readable;                             // paused while events come
  uint64_t taken = 0;                                    // events
  uint64_t looks_after_loss = DirectFlows::kLooksToEnd;  // so many since events were lost

  std::unique_ptr<event::Timer> batch, share, health, period;

  mutable Mutex mutex;
  DirectStatus status SOCKMESH_GUARDED_BY(mutex);
};

// --- decisions ---

void DirectLane::Carried::publish(model::SnapshotPtr next) {
  const bool first = !snapshot;
  snapshot = std::move(next);
  flows.configuration_changed();
  update(true);
  if (!first) return;
  // From now on it is known what flows are about, those of an earlier process too.
  if (const auto followed = follow(); !followed) set_trouble(followed.error().message);
  health->set(kHealthPeriod);
  period->set(kLookPeriod);
}

// `anyway`: although the tables may be what they were, since flows are to know the new snapshot.
void DirectLane::Carried::update(bool anyway) {
  if (!snapshot) return;
  const MonotonicTime began = monotonic_now();
  direct::Tables next = decisions.make(snapshot, began, remembered);
  if (!anyway && known && delta(tables, next).empty()) return;
  const MonotonicTime made = monotonic_now();
  if (apply(next)) {
    tables = std::move(next);
    known = true;
    using Milliseconds = std::chrono::duration<double, std::milli>;
    spdlog::debug("direct lane: generation {}, decided in {:.1f} ms, in force after {:.1f} ms more",
                  decisions.generation(), Milliseconds(made - began).count(),
                  Milliseconds(in_force - made).count());
  } else if (const auto cleared = clear(); !cleared) {
    // What is in force is old, and nothing can be changed: nobody is to be led by it.
    maps.set_enabled(false);
    spdlog::error("direct lane: {}; it is switched off", cleared.error().message);
  }
  count_entries();
  share_counts();
}

bool DirectLane::Carried::apply(const direct::Tables& next) {
  const uint32_t first_turn = static_cast<uint32_t>(std::hash<std::string>()(pod.identity.pod) & 0xffff);
  bpf::DirectChange change;
  if (known) {
    change = kernel_change(delta(tables, next), first_turn);
  } else {
    const auto have = maps.table();
    if (!have) {
      set_trouble(have.error().message);
      return false;
    }
    change = difference(*have, kernel_table(next, first_turn));
  }
  if (decisions.live_numbers() > maps.live_records()) {
    set_trouble(fmt::format("{} clusters and hosts, and there is room for {}", decisions.live_numbers(),
                            maps.live_records()));
    return false;
  }
  snapshots[decisions.generation()] = snapshot;
  auto applied = maps.apply(change, decisions.generation());
  in_force = monotonic_now();
  if (applied) applied = maps.settle();
  set_trouble(applied ? "" : applied.error().message);
  return applied.has_value();
}

Result<void> DirectLane::Carried::clear() {
  known = false;
  tables = {};
  SOCKMESH_TRY(have, maps.table());
  SOCKMESH_CHECK(maps.apply(difference(have, {}), decisions.generation()));
  return maps.settle();
}

void DirectLane::Carried::look_at_health() {
  if (decisions.stale(monotonic_now())) update(false);
  health->set(kHealthPeriod);
}

// The agent counts direct connections as its own (DirectFlows); the kernel is told here of the agent's.
void DirectLane::Carried::share_counts() {
  bool bounded = false;
  for (const auto& [number, cluster] : tables.clusters) {
    if (!cluster->max_connections) continue;
    bounded = true;
    const Text& name = decisions.cluster_name(number);
    const upstream::ClusterStatePtr state = pod.clusters.find(name);
    const uint32_t all = state ? state->active() : 0;
    maps.set_proxied(cluster->live, all - std::min(all, flows.in_cluster(name)));
  }
  if (bounded) share->set(kSharePeriod);
}

void DirectLane::Carried::set_trouble(std::string text) {
  const Lock lock(mutex);
  if (text == status.trouble) return;
  if (text.empty())
    spdlog::info("direct lane: its decisions fit again");
  else
    spdlog::warn("direct lane: {}; connections are left to the proxy", text);
  status.trouble = std::move(text);
}

void DirectLane::Carried::set_detached(bool now) {
  const Lock lock(mutex);
  if (now && !status.detached)
    spdlog::warn(
        "direct lane: somebody has detached its programs from the pod's cgroup; an agent that starts "
        "attaches them again");
  status.detached = now;
}

void DirectLane::Carried::count_entries() {
  const Lock lock(mutex);
  status.generation = maps.generation();
  status.destinations = tables.destinations.exact.size();
  status.prefixes = tables.destinations.prefixes.size();
  status.routes = static_cast<size_t>(std::count_if(tables.routes.begin(), tables.routes.end(),
                                                    [](const auto& one) { return !one.second->intercept; }));
  status.clusters = tables.clusters.size();
  status.hosts = 0;
  for (const auto& [number, cluster] : tables.clusters) status.hosts += cluster->hosts.size();
}

// --- flows ---

Result<void> DirectLane::Carried::follow() {
  SOCKMESH_TRY(opened, bpf::DirectEvents::open(
                           maps,
                           [this](const direct_record& record) {
                             flows.happened(record);
                             ++taken;
                           },
                           [this] { looks_after_loss = 0; }));
  events = std::move(opened);
  look();
  SOCKMESH_TRY(descriptor, event::WatchedFd::duplicate(events->fd()));
  readable = std::move(descriptor);
  readable.watch(loop, EPOLLIN, [this](uint32_t) {
    readable.set_events(0);
    take_batch();
  });
  return {};
}

void DirectLane::Carried::take_batch() {
  const uint64_t before = taken;
  events->consume();
  if (looks_after_loss == 0) look();
  if (taken != before) return batch->set(kBatchPeriod);
  readable.set_events(EPOLLIN);
}

void DirectLane::Carried::look() {
  if (!events) return;
  const uint64_t since = maps.generation();
  flows.begin_look();
  events->consume();
  const auto found = maps.open_flows();
  if (!found) return set_trouble(found.error().message);
  flows.seen(*found);
  const bool lost = looks_after_loss++ < DirectFlows::kLooksToEnd;
  events->consume();
  flows.end_look(lost);

  remembered = remembered_by(*found, since);
  std::set<uint64_t> in_use;
  for (const direct_record& one : *found) in_use.insert(one.flow.generation);
  std::erase_if(snapshots, [&](const auto& one) { return one.first < since && !in_use.contains(one.first); });
  set_detached(!maps.attached());
}

LedBy DirectLane::Carried::led_by(const direct_flow& flow) const {
  if (flow.generation <= earlier) return {snapshot, {}};
  const auto at = snapshots.find(flow.generation);
  return {at == snapshots.end() ? snapshot : at->second, decisions.cluster_name(flow.cluster)};
}

// --- the lane ---

DirectLane::DirectLane(pod::PodPtr pod, std::unique_ptr<bpf::DirectMaps> maps, const Options& options)
    : pod_(std::move(pod)), maps_(std::move(maps)), terms_(options.terms) {}

Result<std::unique_ptr<DirectLane>> DirectLane::start(pod::PodPtr pod, std::unique_ptr<bpf::DirectMaps> maps,
                                                      std::shared_ptr<telemetry::AccessLog> log,
                                                      const Options& options) {
  SOCKMESH_TRY(earlier, maps->open_flows());
  SOCKMESH_TRY(loop, event::Loop::create(event::Backend::kEpoll));
  std::unique_ptr<DirectLane> lane(new DirectLane(std::move(pod), std::move(maps), options));
  lane->loop_ = std::move(loop);
  lane->carried_ = std::make_unique<Carried>(*lane->pod_, *lane->maps_, *lane->loop_, lane->terms_,
                                             remembered_by(earlier, lane->maps_->generation()),
                                             std::move(log), options.number);
  lane->thread_ = std::thread([self = lane.get(), pinned = options.pinned] {
    pthread_setname_np(pthread_self(), "direct");
    self->loop_->run();
    self->carried_->flows.leave(pinned);
  });
  return lane;
}

DirectLane::~DirectLane() {
  loop_->stop();
  if (thread_.joinable()) thread_.join();
}

void DirectLane::publish(model::SnapshotPtr snapshot) {
  loop_->post([this, snapshot = std::move(snapshot)] { carried_->publish(snapshot); });
}

void DirectLane::names_changed() {
  loop_->post([this] { carried_->update(false); });
}

std::future<std::vector<telemetry::ConnectionRecord>> DirectLane::flows() {
  auto promise = std::make_shared<std::promise<std::vector<telemetry::ConnectionRecord>>>();
  loop_->post([this, promise] {
    carried_->look();
    promise->set_value(carried_->flows.records());
  });
  return promise->get_future();
}

size_t DirectLane::active() const { return carried_->flows.active(); }
uint64_t DirectLane::total() const { return carried_->flows.total(); }
uint64_t DirectLane::bytes() const { return carried_->flows.bytes(); }

void DirectLane::add_to(telemetry::CounterTotals& totals) const { carried_->flows.add_to(totals); }

DirectStatus DirectLane::status() const {
  DirectStatus status;
  {
    const Lock lock(carried_->mutex);
    status = carried_->status;
  }
  for (uint32_t i = 0; i < DIRECT_COUNTS; ++i) status.counts[i] = maps_->count(static_cast<direct_count>(i));
  status.enabled = maps_->enabled();
  status.bytes = maps_->bytes_at_most();
  return status;
}

}  // namespace sockmesh::app_lanes
