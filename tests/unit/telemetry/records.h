// Connection records as the tests of telemetry use them: a connection of deploy/samples/hazelcast's story.
#pragma once

#include "telemetry/connection_record.h"

namespace sockmesh::telemetry {

inline SocketAddress at(std::string_view text) { return SocketAddress::parse(text).value(); }

// 2026-08-22T10:11:12.345Z
inline WallTime some_time() { return WallTime(std::chrono::milliseconds(1787393472345)); }

inline model::SnapshotPtr some_snapshot() {
  auto snapshot = std::make_shared<model::Snapshot>();
  snapshot->generation = 1;
  snapshot->self = {.name = "client-7d9",
                    .ns = "app",
                    .app = "client",
                    .version = "v1",
                    .canonical_service = "client",
                    .canonical_revision = "v1",
                    .cluster_id = "Kubernetes"};
  return snapshot;
}

inline model::ClusterPtr some_cluster() {
  auto cluster = std::make_shared<model::Cluster>();
  cluster->name = "outbound|5701||manager.manager.svc.cluster.local";
  cluster->service_host = "manager.manager.svc.cluster.local";
  cluster->service_name = "manager";
  cluster->service_namespace = "manager";
  return cluster;
}

// An ordinary outbound connection that came to its end: 6 bytes in, 12 out, half a second.
inline ConnectionRecord some_record() {
  ConnectionRecord record;
  record.id = 7;
  record.started = some_time();
  record.duration = std::chrono::milliseconds(506);
  record.downstream_remote = at("10.12.0.11:47316");
  record.downstream_local = at("10.0.23.154:5701");
  record.upstream_host = at("10.12.0.12:5701");
  record.upstream_local = at("10.12.0.11:51100");
  record.listener = "10.0.23.154_5701";
  record.cluster_config = some_cluster();
  record.cluster = record.cluster_config->name;
  record.snapshot = some_snapshot();
  record.peer = std::make_shared<model::Workload>(model::Workload{.name = "manager-0",
                                                                  .ns = "manager",
                                                                  .app = "manager",
                                                                  .canonical_service = "manager",
                                                                  .cluster_id = "Kubernetes"});
  record.connect_attempts = 1;
  record.bytes_received = 6;
  record.bytes_sent = 12;
  record.lane = model::Lane::kSkSkb;
  return record;
}

// One whose only endpoint refused.
inline ConnectionRecord refused_record() {
  ConnectionRecord record = some_record();
  record.downstream_local = at("10.12.1.6:5701");
  record.upstream_local.reset();
  record.flags.add(model::ResponseFlag::kUpstreamConnectionFailure);
  record.flags.add(model::ResponseFlag::kUpstreamRetryLimitExceeded);
  record.bytes_received = record.bytes_sent = 0;
  record.lane.reset();
  return record;
}

}  // namespace sockmesh::telemetry
