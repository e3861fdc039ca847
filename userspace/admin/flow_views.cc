// The flow table: both legs of each open connection, the decision, the lane and the bytes, in one row.
#include <algorithm>
#include <array>
#include <ctime>

#include "admin/view_parts.h"

namespace sockmesh::admin {

std::string utc(WallTime time) {
  using namespace std::chrono;
  const auto since_epoch = duration_cast<milliseconds>(time.time_since_epoch());
  const std::time_t whole = floor<std::chrono::seconds>(since_epoch).count();
  std::tm parts{};
  gmtime_r(&whole, &parts);
  std::array<char, 32> buffer;
  const size_t length = std::strftime(buffer.data(), buffer.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", std::string_view(buffer.data(), length), since_epoch.count() % 1000);
}

Json flow_view(const telemetry::ConnectionRecord& r, MonotonicTime now) {
  return {{"id", r.id},
          {"direction", direction_text(r.direction)},
          {"state", to_string(r.state)},
          {"downstream", r.downstream_remote.to_string()},
          {"originalDestination", r.downstream_local.to_string()},
          {"upstream", r.upstream_host ? Json(model::to_string(*r.upstream_host)) : Json(nullptr)},
          {"upstreamLocal", r.upstream_local ? Json(r.upstream_local->to_string()) : Json(nullptr)},
          {"listener", text_or_null(r.listener)},
          {"filterChain", text_or_null(r.filter_chain)},
          {"cluster", text_or_null(r.cluster)},
          {"serverName", text_or_null(r.server_name)},
          {"configVersion", r.snapshot ? text_or_null(r.snapshot->version) : Json(nullptr)},
          {"connectAttempts", r.connect_attempts},
          {"responseFlags", r.flags.to_string()},
          {"lane", r.lane ? Json(to_string(*r.lane)) : Json(nullptr)},
          {"laneReason", text_or_null(r.lane_reason)},
          {"bytesReceived", r.bytes_received},
          {"bytesSent", r.bytes_sent},
          {"splicedReceived", r.moved[model::Lane::kSkSkb].received},
          {"splicedSent", r.moved[model::Lane::kSkSkb].sent},
          {"roundTripMs", r.upstream_tcp ? Json(r.upstream_tcp->round_trip.count() / 1000.0) : Json(nullptr)},
          {"retransmits", r.upstream_tcp ? Json(r.upstream_tcp->retransmits) : Json(nullptr)},
          {"downstreamClosed", r.downstream_closed},
          {"upstreamClosed", r.upstream_closed},
          {"started", utc(r.started)},
          {"ageSeconds", std::max(0.0, seconds(now - r.opened))}};
}

Json flows_view(const FlowListing& listing, MonotonicTime now) {
  std::vector<const telemetry::ConnectionRecord*> sorted;
  sorted.reserve(listing.flows.size());
  for (const auto& record : listing.flows) sorted.push_back(&record);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->id < b->id; });
  Json list = Json::array();
  for (const auto* record : sorted) list.push_back(flow_view(*record, now));
  return {{"total", listing.total}, {"flows", std::move(list)}};
}

}  // namespace sockmesh::admin
