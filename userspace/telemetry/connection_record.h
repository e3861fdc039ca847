// ConnectionRecord: all that is known about one connection, filled in as it is learnt, from accept to close.
// The access log, the metrics, the flow table and the JSON views are all made from it. Belongs to the worker
// that carries the connection; copies may go anywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/clock.h"
#include "base/text.h"
#include "model/flags.h"
#include "model/lane.h"
#include "model/snapshot.h"

namespace sockmesh::telemetry {

enum class ConnectionState : uint8_t { kAccepted, kInspecting, kConnecting, kRelaying, kClosed };
const char* to_string(ConnectionState state);  // "accepted", ...

// What the kernel measured of the connection to the endpoint.
struct TcpFigures {
  std::chrono::microseconds round_trip{};  // smoothed
  uint32_t retransmits = 0;                // segments, SYNs among them
  uint64_t bytes_retransmitted = 0;
};

struct ConnectionRecord {
  uint64_t id = 0;  // unique in this agent's life: the number of its WorkerTelemetry in the top 16 bits
  model::Direction direction = model::Direction::kOutbound;
  ConnectionState state = ConnectionState::kAccepted;
  WallTime started{};
  MonotonicTime opened{};
  Duration duration{};  // set when closed

  SocketAddress downstream_remote;                      // the client
  SocketAddress downstream_local;                       // original destination
  std::optional<model::EndpointAddress> upstream_host;  // chosen endpoint
  std::optional<SocketAddress>
      upstream_local;       // our side of the upstream connection; absent: never connected
  std::string server_name;  // SNI, "" if none was looked at

  Text listener, filter_chain, cluster, route_name;
  model::SnapshotPtr snapshot;       // the one that routed it
  model::ClusterPtr cluster_config;  // null for NC, NR
  model::WorkloadPtr peer;           // the other end, when known
  uint32_t connect_attempts = 0;

  model::ResponseFlags flags;
  std::string details;  // "filter_chain_not_found", "" prints "-"
  std::string termination_details;
  std::string transport_failure;  // text of the connect error, "" prints "-"
  std::string close_reason;       // datapath's words, for the flow table

  uint64_t bytes_received = 0;  // from downstream
  uint64_t bytes_sent = 0;      // to downstream
  model::BytesByLane moved;
  std::optional<model::Lane> lane;  // none before there is anything to move
  std::string lane_reason;
  std::optional<TcpFigures> upstream_tcp;                   // absent: not asked
  bool downstream_closed = false, upstream_closed = false;  // FIN seen from that side: half-closed
  bool log = true;  // false: no access-log line (virtualOutbound-blackhole)
};

}  // namespace sockmesh::telemetry
