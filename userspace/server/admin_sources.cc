// What the admin server shows of the agent and of one pod, gathered from their parts. Every function here
// runs in an admin thread; none makes a worker wait.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "model/finding_codes.h"
#include "server/agent.h"
#include "server/local_listeners.h"
#include "server/name_status.h"
#include "server/pod_addresses.h"
#include "telemetry/metrics.h"

namespace sockmesh::server {

namespace {

constexpr std::chrono::seconds kFlowsDeadline(1);  // a worker that is slower is left out

admin::Readiness readiness(const Agent& agent, const ServedPod& pod) {
  if (agent.draining) return {false, "draining"};
  if (pod.pod().snapshot()) return {true, ""};
  const admin::ConfigStatus config = agent.configuration().status();
  return {false, fmt::format("config not received from folder {}{}{}", config.location,
                             config.last_error.empty() ? "" : ": ", config.last_error)};
}

admin::FlowListing flows(const ServedPod& pod) {
  std::vector<std::future<std::vector<telemetry::ConnectionRecord>>> asked;
  admin::FlowListing listing;
  for (PodTraffic* share : pod.shares()) asked.push_back(share->flows());
  if (pod.direct() != nullptr) asked.push_back(pod.direct()->flows());
  const auto deadline = std::chrono::steady_clock::now() + kFlowsDeadline;
  for (auto& answer : asked) {
    if (answer.wait_until(deadline) != std::future_status::ready) continue;
    auto part = answer.get();
    std::move(part.begin(), part.end(), std::back_inserter(listing.flows));
  }
  listing.total = std::max<uint64_t>(pod.active(), listing.flows.size());
  return listing;
}

std::vector<admin::EndpointState> endpoint_states(const pod::Pod& pod) {
  std::vector<admin::EndpointState> states;
  const model::SnapshotPtr snapshot = pod.snapshot();
  if (!snapshot) return states;
  for (const auto& [name, cluster] : snapshot->clusters) {
    const auto state = pod.clusters.find(name);
    if (!state) continue;
    for (auto& endpoint : state->endpoints(monotonic_now()))
      states.push_back({name, std::move(endpoint.address), endpoint.ejected, endpoint.active,
                        endpoint.connects, endpoint.failures, std::nullopt});
  }
  auto named = named_endpoints(*snapshot, pod.names.all(), states, monotonic_now());
  std::move(named.begin(), named.end(), std::back_inserter(states));
  return states;
}

datapath::LaneStats lane_sums(const Agent& agent) {
  datapath::LaneStats sum;
  for (const auto& worker : agent.workers()) sum += worker->lane_stats();
  return sum;
}

model::Lane user_lane(const Agent& agent) {
  return datapath::copying_lane(agent.workers().front()->backend());
}

admin::LaneStatus direct_status(const Agent& agent, const ServedPod& pod) {
  admin::LaneStatus status{model::Lane::kDirect, false, false, agent.direct_verdict, 0, 0};
  const app_lanes::DirectLane* direct = pod.direct();
  if (direct == nullptr) return status;
  const app_lanes::DirectStatus now = direct->status();
  status.available = true;
  status.enabled = now.enabled && !now.detached && now.trouble.empty();
  if (!now.trouble.empty()) status.verdict = now.trouble;
  if (now.detached) status.verdict = "its programs were detached from the pod's cgroup";
  if (!now.enabled) status.verdict = "switched off";
  status.flows_active = direct->active();
  status.flows_total = direct->total();
  return status;
}

std::optional<admin::DirectStatus> direct_entries(const ServedPod& pod) {
  if (pod.direct() == nullptr) return std::nullopt;
  const app_lanes::DirectStatus now = pod.direct()->status();
  admin::DirectStatus status{now.generation, now.destinations, now.prefixes, now.routes,
                             now.clusters,   now.hosts,        now.bytes,    {}};
  for (uint32_t i = 0; i < DIRECT_COUNTS; ++i)
    status.connects.emplace_back(bpf::to_string(static_cast<direct_count>(i)), now.counts[i]);
  return status;
}

std::vector<admin::LaneStatus> lane_statuses(const Agent& agent, const ServedPod& pod,
                                             const datapath::LaneStats& sums) {
  std::vector<admin::LaneStatus> lanes;
  const auto add = [&](model::Lane lane, bool available, bool enabled, std::string verdict) {
    const auto& counts = sums.lanes[lane];
    lanes.push_back({lane, available, enabled, std::move(verdict), counts.flows_active, counts.flows_total});
  };
  add(user_lane(agent), true, true, "available");
  const bool spliced = agent.splicing.maps != nullptr;
  const std::string disabled = spliced ? agent.splicing.maps->disabled_reason() : "";
  add(model::Lane::kSkSkb, spliced, spliced && !agent.switched_off[model::Lane::kSkSkb] && disabled.empty(),
      disabled.empty() ? agent.splicing.verdict() : "switched off: " + disabled);
  lanes.push_back(direct_status(agent, pod));
  return lanes;
}

admin::AgentStatus status(const Agent& agent, const ServedPod& pod) {
  const Options& options = agent.options;
  const config::ProxyIdentity& self = pod.pod().identity;
  admin::AgentStatus status;
  status.version = SOCKMESH_VERSION;
  status.pid = getpid();
  status.started = agent.started;
  status.role = config::to_string(self.role);
  status.pod = self.pod;
  status.ns = self.ns;
  status.node = self.node;
  status.interception = to_string(options.interception);
  status.data_path = datapath::to_string(options.data_path);
  for (const model::Lane lane : model::kLanes) status.switched_off[lane] = agent.switched_off[lane];
  status.draining = agent.draining;
  status.config = agent.configuration().status();
  for (const BoundPorts::Missing& one : pod.missing_ports())
    status.unbound.push_back({one.bind.listener, one.bind.address.to_string(), one.error});

  const auto origin =
      std::make_shared<const model::Origin>(model::Origin{"Pod", status.pod, status.ns, "", 0});
  if (const auto snapshot = pod.pod().snapshot()) {
    for (const IpAddress& ip : snapshot->self_ips)
      status.address_origins[ip.to_string()] = origin_of(ip, options);
    status.names = unwell_names(*snapshot, pod.pod().names.all(), monotonic_now());
    status.findings = look_for_local_listeners(*snapshot, pod.pod().network, origin);
  }
  if (options.disturbance)
    status.findings.push_back(model::make_finding(
        "SM0302", origin,
        fmt::format("This agent disturbs itself on purpose, for tests alone: --disturb {}",
                    to_string(*options.disturbance))));

  status.lanes = lane_statuses(agent, pod, lane_sums(agent));
  status.direct = direct_entries(pod);
  for (const auto& worker : agent.workers()) {
    const datapath::LaneStats stats = worker->lane_stats();
    status.workers.push_back({worker->index(),
                              worker->backend() == event::Backend::kIoUring ? "io_uring" : "epoll",
                              worker->active(), stats.flows_total});
  }
  return status;
}

std::string metrics(const Agent& agent, const ServedPod& pod) {
  telemetry::CounterTotals counters;
  for (const PodTraffic* share : pod.shares()) share->add_to(counters);
  datapath::LaneStats sums = lane_sums(agent);
  if (pod.direct() != nullptr) {
    pod.direct()->add_to(counters);
    sums.lanes[model::Lane::kDirect].bytes = pod.direct()->bytes();
  }
  telemetry::AgentTotals totals;
  totals.version = SOCKMESH_VERSION;
  if (const auto snapshot = pod.pod().snapshot()) {
    totals.config_version = snapshot->version;
    totals.config_generation = snapshot->generation;
    totals.findings = snapshot->findings.size();
    totals.dns = dns_totals(*snapshot, pod.pod().names.all(), monotonic_now());
  }
  totals.workers = agent.workers().size();
  totals.connections_active = pod.active();
  totals.access_log_lines = agent.access_log->lines();
  totals.access_log_dropped = agent.access_log->dropped();
  totals.config_rejected = agent.configuration().status().rejected;
  totals.uptime_seconds = std::chrono::duration<double>(monotonic_now() - agent.started_monotonic).count();
  totals.draining = agent.draining;
  for (const admin::LaneStatus& lane : lane_statuses(agent, pod, sums)) {
    const auto& counts = sums.lanes[lane.lane];
    totals.lanes.push_back({lane.lane, lane.available && lane.enabled, lane.flows_total, lane.flows_active,
                            counts.refused, counts.stuck, counts.bytes});
  }
  return telemetry::prometheus_text(counters, totals);
}

std::string level_text() {
  const auto text = spdlog::level::to_string_view(spdlog::get_level());
  return {text.data(), text.size()};
}

Result<void> set_log_level(const std::string& logger, const std::string& level) {
  if (!logger.empty() && logger != "agent") return fail("logger '{}': expected agent", logger);
  const auto value = spdlog::level::from_str(level);
  if (value == spdlog::level::off && level != "off")
    return fail("level '{}': expected trace, debug, info, warning, error, critical or off", level);
  spdlog::set_level(value);
  return {};
}

Result<void> set_enabled(Agent& agent, const ServedPod& pod, model::Lane lane, bool on) {
  if (lane == model::Lane::kDirect) {
    if (pod.direct() == nullptr) return fail("there is no direct lane: {}", agent.direct_verdict);
    agent.switched_off[lane] = !on;
    pod.direct()->set_enabled(on);
    return {};
  }
  if (lane != model::Lane::kSkSkb) return fail("lane {}: cannot be switched", to_string(lane));
  if (!agent.splicing.maps) return fail("there is no spliced lane: {}", agent.splicing.unavailable);
  agent.switched_off[lane] = !on;
  for (const auto& worker : agent.workers()) worker->set_enabled(lane, on);
  return {};
}

}  // namespace

admin::Sources admin_sources(Agent& agent, const ServedPod& pod,
                             std::function<void(const admin::DrainRequest&)> drain,
                             std::function<void()> quit) {
  admin::Sources sources;
  sources.snapshot = [&pod] { return pod.pod().snapshot(); };
  sources.status = [&agent, &pod] { return status(agent, pod); };
  sources.readiness = [&agent, &pod] { return readiness(agent, pod); };
  sources.flows = [&pod] { return flows(pod); };
  sources.endpoint_states = [&pod] { return endpoint_states(pod.pod()); };
  sources.metrics = [&agent, &pod] { return metrics(agent, pod); };
  sources.loggers = [] { return std::vector<admin::Logger>{{"agent", level_text()}}; };
  sources.set_log_level = set_log_level;
  sources.set_enabled = [&agent, &pod](model::Lane lane, bool on) {
    return set_enabled(agent, pod, lane, on);
  };
  if (const app_lanes::DirectLane* direct = pod.direct(); direct != nullptr)
    sources.direct_terms = direct->terms();
  sources.drain = [&agent, drain = std::move(drain)](const admin::DrainRequest& request) {
    agent.draining = true;
    drain(request);
  };
  sources.quit = std::move(quit);
  return sources;
}

}  // namespace sockmesh::server
