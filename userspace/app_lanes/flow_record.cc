#include "app_lanes/flow_record.h"

#include <algorithm>
#include <cerrno>

#include "bpf/direct_maps.h"
#include "bpf/direct_table.h"
#include "model/direct.h"
#include "model/match.h"
#include "upstream/connector.h"

namespace sockmesh::app_lanes {

namespace {

using model::ResponseFlag;

const model::Endpoint* find_endpoint(const model::Cluster& cluster, const SocketAddress& address) {
  const model::EndpointAddress wanted = address;
  const auto found = std::find_if(cluster.endpoints.begin(), cluster.endpoints.end(),
                                  [&](const model::Endpoint& one) { return one.address == wanted; });
  return found == cluster.endpoints.end() ? nullptr : &*found;
}

// Of a route's clusters the one that leads to this endpoint; "" if it could be several.
Text cluster_of(const model::Snapshot& snapshot, const model::Route& route, const SocketAddress& endpoint) {
  if (route.clusters.size() == 1) return route.clusters.front().cluster;
  Text only;
  for (const model::WeightedCluster& part : route.clusters) {
    const model::Cluster* cluster = snapshot.find_cluster(part.cluster);
    if (cluster == nullptr || find_endpoint(*cluster, endpoint) == nullptr) continue;
    if (!only.empty() && only != part.cluster) return {};
    only = part.cluster;
  }
  return only;
}

model::WorkloadPtr peer_of(const model::Snapshot& snapshot, const model::Cluster* cluster,
                           const SocketAddress& endpoint) {
  if (cluster != nullptr)
    if (const model::Endpoint* known = find_endpoint(*cluster, endpoint); known != nullptr && known->workload)
      return known->workload;
  return snapshot.find_workload(endpoint.ip);
}

void note_route(const LedBy& by, const SocketAddress& endpoint, ConnectionRecord& record) {
  record.snapshot = by.snapshot;
  record.cluster = by.cluster;
  if (!by.snapshot) return;
  model::ConnectionInfo info;
  info.destination = record.downstream_local;
  info.source = record.downstream_remote;
  const model::Decision decision = model::match(*by.snapshot, info);
  if (decision.listener != nullptr) record.listener = decision.listener->name;
  if (decision.chain != nullptr) {
    record.filter_chain = decision.chain->name;
    if (by.cluster.empty()) record.cluster = cluster_of(*by.snapshot, decision.chain->route, endpoint).str();
  }
  const auto cluster = by.snapshot->clusters.find(record.cluster);
  if (cluster != by.snapshot->clusters.end()) record.cluster_config = cluster->second;
  record.peer = peer_of(*by.snapshot, record.cluster_config.get(), endpoint);
}

void note_refusal(const direct_record& flow, ConnectionRecord& record) {
  const bool full = flow.from_state == DIRECT_COUNT_REFUSED_FULL;
  record.flags.add(full ? ResponseFlag::kUpstreamOverflow : ResponseFlag::kNoHealthyUpstream);
  record.close_reason = "refused: " + std::string(bpf::to_string(static_cast<direct_count>(flow.from_state)));
  record.duration = Duration(1);
}

}  // namespace

ConnectionRecord flow_record(const direct_record& flow, const LedBy& by, WallTime wall, MonotonicTime now) {
  ConnectionRecord record;
  const MonotonicTime began{Duration(flow.flow.connect_ns)};
  record.opened = began;
  record.started = wall - std::chrono::duration_cast<WallTime::duration>(now - began);
  record.state = telemetry::ConnectionState::kConnecting;
  record.downstream_remote = bpf::from_kernel(flow.reading.local);
  record.downstream_local = bpf::from_kernel(flow.flow.asked);
  SocketAddress endpoint;
  if (flow.kind == DIRECT_REFUSED) {
    // A socket that connect() never bound has the pod's address, and no port.
    if (record.downstream_remote.ip.is_any() && by.snapshot)
      if (const auto own = model::source_address(*by.snapshot, record.downstream_local.ip.is_v6()))
        record.downstream_remote.ip = *own;
  } else {
    endpoint = bpf::from_kernel(flow.reading.remote);
    record.upstream_host = endpoint;
    record.connect_attempts = 1;
  }
  record.lane = model::Lane::kDirect;
  record.lane_reason = "the application's own connection";
  note_route(by, endpoint, record);
  if (flow.flow.established_ns != 0) {
    record.state = telemetry::ConnectionState::kRelaying;
    record.upstream_local = record.downstream_remote;
  }
  if (flow.kind != DIRECT_REFUSED) note_reading(flow, record);
  return record;
}

void note_reading(const direct_record& flow, ConnectionRecord& record) {
  // Read one after another of an open flow, each rises; what was told once is not taken back.
  auto& moved = record.moved[model::Lane::kDirect];
  moved.received = std::max(moved.received, bpf::sent_bytes(flow));
  moved.sent = std::max(moved.sent, bpf::received_bytes(flow));
  record.bytes_received = moved.received;
  record.bytes_sent = moved.sent;
  record.upstream_tcp = telemetry::TcpFigures{std::chrono::microseconds(flow.reading.srtt_us / 8),
                                              flow.reading.retransmits, flow.reading.bytes_retrans};
  record.downstream_closed = (flow.reading.flags & DIRECT_FIN_SENT) != 0;
  record.upstream_closed = (flow.reading.flags & DIRECT_FIN_CAME) != 0;
}

bool endpoint_failed(const direct_record& flow) {
  return flow.kind == DIRECT_FAILED && flow.reading.error != 0 && flow.reading.error != ECONNABORTED;
}

void note_end(const direct_record& flow, ConnectionRecord& record) {
  if (flow.kind == DIRECT_REFUSED) return note_refusal(flow, record);
  note_reading(flow, record);
  record.close_reason = bpf::to_string(bpf::end_of(flow));
  record.duration = std::max(Duration(1), MonotonicTime(Duration(flow.reading.now_ns)).time_since_epoch() -
                                              record.opened.time_since_epoch());
  if (endpoint_failed(flow)) {
    record.flags.add(ResponseFlag::kUpstreamConnectionFailure);
    record.flags.add(ResponseFlag::kUpstreamRetryLimitExceeded);
    if (flow.reading.error != ETIMEDOUT)
      record.transport_failure = upstream::connect_failure_text(false, static_cast<int>(flow.reading.error));
    return;
  }
  // By the server or the network, whoever had closed a side before; ECONNABORTED is an administrator's.
  const bool cut = flow.reading.error != 0 && flow.reading.error != ECONNABORTED;
  if (flow.kind == DIRECT_ENDED && cut) record.flags.add(ResponseFlag::kUpstreamRemoteReset);
}

}  // namespace sockmesh::app_lanes
