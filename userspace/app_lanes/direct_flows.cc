#include "app_lanes/direct_flows.h"

#include <cerrno>

#include "upstream/balancer.h"
#include "upstream/outlier.h"

namespace sockmesh::app_lanes {

DirectFlows::DirectFlows(pod::Pod& pod, uint16_t number, std::shared_ptr<telemetry::AccessLog> log,
                         std::function<LedBy(const direct_flow&)> led_by)
    : pod_(pod), led_by_(std::move(led_by)), telemetry_(number, std::move(log)) {}

void DirectFlows::happened(const direct_record& record) {
  const auto known = flows_.find(key_of(record));
  switch (record.kind) {
    case DIRECT_OPENED:
      if (known == flows_.end()) open(record);
      break;
    case DIRECT_ENDED:
      end(known == flows_.end() ? open(record) : known, record);
      break;
    case DIRECT_FAILED:
    case DIRECT_REFUSED:
      end(open(record), record);
      break;
    default:
      break;
  }
}

DirectFlows::Flows::iterator DirectFlows::open(const direct_record& record) {
  ConnectionRecord made = flow_record(record, led_by_(record.flow), wall_now(), monotonic_now());
  made.id = telemetry_.next_connection_id();
  const auto at = flows_.try_emplace(key_of(record), telemetry_, std::move(made)).first;
  Flow& flow = at->second;
  flow.seen_in = look_;
  total_.fetch_add(1, std::memory_order_relaxed);
  if (record.flow.established_ns == 0) return at;
  take_place(flow);
  flow.scope.opened();
  report_connect(flow.scope.record(), true);
  return at;
}

void DirectFlows::end(Flows::iterator at, const direct_record& record) {
  ConnectionRecord& ended = at->second.scope.record();
  note_end(record, ended);
  if (endpoint_failed(record)) report_connect(ended, false);
  if (record.kind == DIRECT_REFUSED && ended.cluster_config) {
    const upstream::ClusterStatePtr state = pod_.clusters.get(ended.cluster);
    const bool full = ended.flags.has(model::ResponseFlag::kUpstreamOverflow);
    (full ? state->overflows : state->none_healthy).fetch_add(1, std::memory_order_relaxed);
  }
  bytes_.fetch_add(ended.bytes_received + ended.bytes_sent, std::memory_order_relaxed);
  forget(at);
}

void DirectFlows::begin_look() { ++look_; }

void DirectFlows::seen(const std::vector<direct_record>& records) {
  for (const direct_record& record : records) {
    if (record.flow.established_ns == 0) continue;
    const auto known = flows_.find(key_of(record));
    Flow& flow = (known == flows_.end() ? open(record) : known)->second;
    flow.seen_in = look_;
    note_reading(record, flow.scope.record());
  }
}

void DirectFlows::end_look(bool lost) {
  if (!lost) return;
  for (auto at = flows_.begin(); at != flows_.end();) {
    if (look_ - at->second.seen_in < kLooksToEnd) {
      ++at;
      continue;
    }
    at->second.scope.record().close_reason = "its end was not seen";
    forget(at++);
  }
}

void DirectFlows::leave(bool to_another) {
  for (auto& [key, flow] : flows_) {
    flow.scope.record().close_reason = "the agent ended; the connection goes on";
    if (to_another) flow.scope.record().log = false;
  }
  flows_.clear();
}

void DirectFlows::forget(Flows::iterator flow) {
  if (flow->second.counted) {
    const auto places = places_.find(flow->second.scope.record().cluster);
    if (--places->second == 0) places_.erase(places);
  }
  flows_.erase(flow);
}

uint32_t DirectFlows::in_cluster(const Text& cluster) const {
  const auto places = places_.find(cluster);
  return places == places_.end() ? 0 : places->second;
}

void DirectFlows::take_place(Flow& flow) {
  const ConnectionRecord& record = flow.scope.record();
  if (!record.cluster_config) return;
  const upstream::ClusterStatePtr state = pod_.clusters.get(record.cluster);
  state->acquire(std::nullopt);
  flow.counted = true;
  ++places_[record.cluster];
  flow.lease = upstream::Lease(state);
  if (record.cluster_config->type != model::ClusterType::kOriginalDst)
    flow.lease.move_to(state->host(model::to_string(*record.upstream_host), monotonic_now()));
}

void DirectFlows::report_connect(const ConnectionRecord& record, bool connected) {
  if (!record.cluster_config) return;
  const model::Cluster& cluster = *record.cluster_config;
  const upstream::ClusterStatePtr state = pod_.clusters.get(record.cluster);
  const MonotonicTime now = monotonic_now();
  upstream::HostStatePtr host;
  if (cluster.type != model::ClusterType::kOriginalDst)
    host = state->host(model::to_string(*record.upstream_host), now);
  if (!connected && record.transport_failure.empty())
    state->connect_timeouts.fetch_add(1, std::memory_order_relaxed);
  upstream::report_connect(
      cluster, *state, host.get(), [&]() -> const upstream::HostList& { return hosts_of(cluster, *state); },
      connected, now);
}

const upstream::HostList& DirectFlows::hosts_of(const model::Cluster& cluster,
                                                upstream::ClusterState& state) {
  const uint64_t version = pod_.names.version();
  Hosts& hosts = hosts_[cluster.name];
  if (hosts.list.empty() || hosts.names_version != version)
    hosts = {version, upstream::expand(cluster, state, pod_.names, monotonic_now()).hosts};
  return hosts.list;
}

}  // namespace sockmesh::app_lanes
