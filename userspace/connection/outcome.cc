#include "connection/outcome.h"

#include <algorithm>

namespace sockmesh::connection {

void note_progress(const datapath::Progress& progress, telemetry::ConnectionRecord& record) {
  record.bytes_received = progress.received();
  record.bytes_sent = progress.sent();
  record.moved = progress.moved;
  record.lane = progress.lane;
  record.lane_reason = progress.lane_reason;
  record.downstream_closed = progress.downstream_closed;
  record.upstream_closed = progress.upstream_closed;
}

std::optional<model::ResponseFlag> flag_of(datapath::CloseReason reason) {
  switch (reason) {
    case datapath::CloseReason::kMaxDuration:
      return model::ResponseFlag::kDurationTimeout;
    case datapath::CloseReason::kUpstreamReset:
      return model::ResponseFlag::kUpstreamRemoteReset;
    case datapath::CloseReason::kFinished:
    case datapath::CloseReason::kIdleTimeout:
    case datapath::CloseReason::kDownstreamReset:
    case datapath::CloseReason::kAborted:
      break;
  }
  return std::nullopt;
}

datapath::RelayOptions relay_options(const model::Route& route, Duration age) {
  datapath::RelayOptions options;
  if (route.idle_timeout) options.idle_timeout = *route.idle_timeout;
  if (route.max_connection_duration && route.max_connection_duration->count() > 0)
    options.max_duration =
        std::max<Duration>(*route.max_connection_duration - age, std::chrono::milliseconds(1));
  return options;
}

std::optional<Duration> detection_timeout(const model::MeshSettings& mesh) {
  if (!mesh.protocol_detection_timeout || mesh.protocol_detection_timeout->count() <= 0) return std::nullopt;
  return mesh.protocol_detection_timeout;
}

}  // namespace sockmesh::connection
