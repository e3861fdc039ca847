#include "admin/api.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "admin/envoy_dump.h"
#include "admin/question.h"
#include "admin/views.h"
#include "base/strings.h"
#include "model/explain.h"

namespace sockmesh::admin {

namespace {

struct Call {  // what a handler gets
  const Sources& sources;
  const Request& request;

  std::string query(const std::string& name, const std::string& otherwise = "") const {
    const auto found = request.query.find(name);
    return found == request.query.end() ? otherwise : found->second;
  }
  bool has(const std::string& name) const { return request.query.count(name) > 0; }
};
using Handler = Reply (*)(const Call&);

Reply text(int status, std::string body) {
  if (body.empty() || body.back() != '\n') body += '\n';
  return {.status = status, .body = std::move(body)};
}
Reply json(const Json& value) {
  // Names may come from the wire (SNI): what is not UTF-8 is replaced.
  return {.status = 200,
          .type = "application/json",
          .body = value.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"};
}
Reply failure(int status, const std::string& message) {
  Reply reply = json({{"error", message}});
  reply.status = status;
  return reply;
}
Reply not_here(const char* what) { return failure(501, fmt::format("this agent has no {}", what)); }
Reply no_config() { return failure(503, "no configuration received yet"); }

Reply done(const Result<void>& result) {
  return result ? json({{"ok", true}}) : failure(409, result.error().message);
}

model::SnapshotPtr snapshot_of(const Call& call) {
  return call.sources.snapshot ? call.sources.snapshot() : nullptr;
}
std::vector<EndpointState> states_of(const Call& call) {
  return call.sources.endpoint_states ? call.sources.endpoint_states() : std::vector<EndpointState>{};
}
AgentStatus status_of(const Call& call) {
  return call.sources.status ? call.sources.status() : AgentStatus{};
}
Readiness readiness_of(const Call& call) {
  return call.sources.readiness ? call.sources.readiness() : Readiness{false, "readiness is not known"};
}

// --- ours ---

Reply flows(const Call& call) {
  if (!call.sources.flows) return not_here("flow table");
  return json(flows_view(call.sources.flows(), monotonic_now()));
}

template <Json (*View)(const model::Snapshot&)>
Reply view(const Call& call) {
  const auto snapshot = snapshot_of(call);
  return snapshot ? json(View(*snapshot)) : no_config();
}

Reply listeners(const Call& call) {
  const auto snapshot = snapshot_of(call);
  return snapshot ? json(listeners_view(*snapshot, status_of(call).unbound)) : no_config();
}

Reply endpoints(const Call& call) {
  const auto snapshot = snapshot_of(call);
  return snapshot ? json(endpoints_view(*snapshot, states_of(call))) : no_config();
}

Reply status(const Call& call) {
  if (!call.sources.status) return not_here("status");
  const auto snapshot = snapshot_of(call);
  return json(status_view(status_of(call), readiness_of(call), snapshot.get(), wall_now()));
}

Question question_of(const Call& call) {
  Question question{.destination = call.query("destination"),
                    .direction = call.query("direction", "outbound"),
                    .source = call.query("source")};
  if (call.has("sni")) question.sni = call.query("sni");
  question.alpn = call.query("alpn");
  if (call.has("tls")) question.tls = call.query("tls") == "true";
  return question;
}

model::Explanation explained(const Call& call, const model::Snapshot& snapshot,
                             const model::ConnectionInfo& info) {
  model::Explanation explanation = model::explain(snapshot, info);
  if (call.sources.direct_terms)
    explanation.steps.push_back(model::explain_lane(snapshot, info, *call.sources.direct_terms));
  return explanation;
}

Reply explain_flow(const Call& call, const std::string& id_text) {
  const auto id = parse_number<uint64_t>(id_text);
  if (!id) return failure(400, fmt::format("flow '{}': expected the number of an open flow", id_text));
  if (!call.sources.flows) return not_here("flow table");
  const FlowListing listing = call.sources.flows();
  const auto found = std::find_if(listing.flows.begin(), listing.flows.end(),
                                  [&](const auto& record) { return record.id == *id; });
  if (found == listing.flows.end())
    return failure(404, fmt::format("flow {}: no such open connection ({} are open)", *id, listing.total));
  if (!found->snapshot) return no_config();  // accepted, not routed yet
  model::ConnectionInfo info{.direction = found->direction,
                             .destination = found->downstream_local,
                             .source = found->downstream_remote};
  info.bound = bound_listener(*found->snapshot, info.destination);
  if (!found->server_name.empty()) info.hello = model::TlsHello{true, found->server_name};
  return json(
      explanation_view(explained(call, *found->snapshot, info), states_of(call), &*found, monotonic_now()));
}

Reply explain(const Call& call) {
  if (call.has("flow")) return explain_flow(call, call.query("flow"));
  const auto snapshot = snapshot_of(call);
  if (!snapshot) return no_config();
  const auto info = connection_of(question_of(call), *snapshot);
  if (!info) return failure(400, info.error().message);
  return json(explanation_view(explained(call, *snapshot, *info), states_of(call), nullptr, monotonic_now()));
}

Reply switch_lane(const Call& call, model::Lane lane) {
  if (!call.sources.set_enabled) return not_here("kernel lanes");
  const std::string enabled = call.query("enabled");
  if (enabled != "true" && enabled != "false")
    return failure(400, fmt::format("enabled '{}': expected true or false", enabled));
  return done(call.sources.set_enabled(lane, enabled == "true"));
}

Reply splice(const Call& call) { return switch_lane(call, model::Lane::kSkSkb); }
Reply direct(const Call& call) { return switch_lane(call, model::Lane::kDirect); }

Reply drain(const Call& call) {
  if (!call.sources.drain) return not_here("drain");
  const auto is_set = [&](const char* name) { return call.query(name, "false") != "false"; };
  call.sources.drain({.inbound_only = is_set("inboundonly"), .graceful = is_set("graceful")});
  return done({});
}

// --- Envoy's and Istio's ---

Reply ready(const Call& call) {
  const Readiness readiness = readiness_of(call);
  if (readiness.ready) return text(200, call.request.path == "/ready" ? "LIVE" : "ok");
  return text(503, readiness.text.empty() ? "not ready" : readiness.text);
}

Reply metrics(const Call& call) {
  if (!call.sources.metrics) return not_here("metrics");
  return {.type = "text/plain; version=0.0.4; charset=utf-8", .body = call.sources.metrics()};
}

Reply info(const Call& call) {
  const auto snapshot = snapshot_of(call);
  return json(server_info(status_of(call), readiness_of(call), snapshot.get(), wall_now()));
}

Reply dump(const Call& call) {
  const auto snapshot = snapshot_of(call);
  if (!snapshot) return no_config();
  return json(config_dump(*snapshot, status_of(call),
                          {.include_eds = call.has("include_eds"), .mask = call.query("mask")}));
}

Reply envoy_clusters(const Call& call) {
  const auto snapshot = snapshot_of(call);
  if (!snapshot) return no_config();
  if (call.query("format") == "json") return json(cluster_statuses(*snapshot, states_of(call)));
  return {.body = cluster_statuses_text(*snapshot, states_of(call))};
}

Reply envoy_listeners(const Call& call) {
  const auto snapshot = snapshot_of(call);
  if (!snapshot) return no_config();
  std::vector<std::string> lines;
  for (const auto& listener : snapshot->listeners)
    for (const SocketAddress& address : listener->addresses)
      lines.push_back(fmt::format("{}::{}\n", listener->name, address.to_string()));
  std::sort(lines.begin(), lines.end());
  return {.body = join(lines, "")};
}

Reply logging(const Call& call) {
  if (!call.sources.loggers) return not_here("loggers");
  const bool changes = call.has("level") || call.has("paths");
  if (changes && !call.sources.set_log_level) return not_here("switch for log levels");
  if (call.has("level")) {
    if (const auto set = call.sources.set_log_level("", call.query("level")); !set)
      return text(400, set.error().message);
  }
  const std::string paths = call.query("paths");
  for (const std::string_view path : split(paths, ',', /*skip_empty=*/true)) {
    const auto parts = split(path, ':');
    if (parts.size() != 2) return text(400, fmt::format("paths '{}': expected logger:level", path));
    if (const auto set = call.sources.set_log_level(std::string(parts[0]), std::string(parts[1])); !set)
      return text(400, set.error().message);
  }
  std::string body = "active loggers:\n";
  for (const Logger& logger : call.sources.loggers())
    body += fmt::format("  {}: {}\n", logger.name, logger.level);
  return text(200, body);
}

Reply drain_listeners(const Call& call) {
  const Reply reply = drain(call);
  return reply.status == 200 ? text(200, "OK") : reply;
}

// As istio-agent asks its Envoy: a sidecar's application may still open connections while it ends.
Reply agent_drain(const Call& call) {
  if (!call.sources.drain) return not_here("drain");
  call.sources.drain({.inbound_only = status_of(call).role != "gateway", .graceful = true});
  return text(200, "OK");
}

Reply quit(const Call& call) {
  if (!call.sources.quit) return not_here("way to end it from here");
  call.sources.quit();
  return text(200, "OK");
}

// --- the table ---

constexpr unsigned kSocket = static_cast<unsigned>(Door::kSocket),
                   kAdmin = static_cast<unsigned>(Door::kAdmin),
                   kStatus = static_cast<unsigned>(Door::kStatus),
                   kReadiness = static_cast<unsigned>(Door::kReadiness),
                   kMetrics = static_cast<unsigned>(Door::kMetrics);

struct Path {
  const char* method;
  const char* path;
  unsigned doors;
  Handler handler;
  Effort effort = Effort::kSome;
};

constexpr Path kPaths[] = {
    {"GET", "/v1/status", kSocket, status},
    {"GET", "/v1/flows", kSocket, flows},
    {"GET", "/v1/listeners", kSocket, listeners},
    {"GET", "/v1/clusters", kSocket, view<clusters_view>},
    {"GET", "/v1/endpoints", kSocket, endpoints},
    {"GET", "/v1/explain", kSocket, explain},
    {"POST", "/v1/splice", kSocket, splice},
    {"POST", "/v1/direct", kSocket, direct},
    {"POST", "/v1/drain", kSocket, drain},

    {"GET", "/ready", kSocket | kAdmin, ready, Effort::kNone},
    {"GET", "/server_info", kSocket | kAdmin, info},
    {"GET", "/config_dump", kSocket | kAdmin, dump},
    {"GET", "/clusters", kSocket | kAdmin, envoy_clusters},
    {"GET", "/listeners", kSocket | kAdmin, envoy_listeners},
    {"GET", "/logging", kSocket | kAdmin, logging},
    {"POST", "/logging", kSocket | kAdmin, logging},
    {"POST", "/drain_listeners", kSocket | kAdmin, drain_listeners},
    {"POST", "/drain", kStatus, agent_drain},
    {"POST", "/quitquitquit", kSocket | kAdmin | kStatus, quit},

    {"GET", "/healthz/ready", kSocket | kStatus | kReadiness, ready, Effort::kNone},
    {"GET", "/stats/prometheus", kSocket | kAdmin | kMetrics, metrics},
    {"GET", "/metrics", kMetrics, metrics},
    {"GET", "/stats/prometheus", kStatus, metrics, Effort::kMergedMetrics},
    {"GET", "/metrics", kStatus, metrics, Effort::kMergedMetrics},
};

// The path that answers a request, or the refusal.
struct Route {
  const Path* path = nullptr;
  Reply refusal;
};

Route route(Door door, const Request& request) {
  bool other_method = false;
  for (const Path& path : kPaths) {
    if (request.path != path.path || !(path.doors & static_cast<unsigned>(door))) continue;
    if (request.method != path.method) {
      other_method = true;
      continue;
    }
    // What changes the agent is for those who share its network namespace; the Unix socket has its own mode.
    if (request.method == "POST" && door != Door::kSocket && !request.from_localhost)
      return {nullptr, text(403, "only requests from localhost are allowed")};
    return {&path, {}};
  }
  if (other_method)
    return {nullptr, text(405, fmt::format("{} is not allowed for {}", request.method, request.path))};
  return {nullptr, text(404, fmt::format("no such path: {}", request.path))};
}

}  // namespace

Api::Api(Sources sources) : sources_(std::move(sources)) {}

Reply Api::handle(Door door, const Request& request) const {
  Route found = route(door, request);
  return found.path ? found.path->handler({sources_, request}) : std::move(found.refusal);
}

Effort Api::effort(Door door, const Request& request) const {
  const Route found = route(door, request);
  return found.path ? found.path->effort : Effort::kNone;
}

}  // namespace sockmesh::admin
