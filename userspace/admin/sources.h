// Sources: all that the admin server knows of the agent, as functions that its owner fills in, and the plain
// values that they give. Every function may be called from any admin thread, at any time between
// AdminServer::start() and stop(); all but readiness may wait for the workers, and none makes a worker wait.
// A function left empty means "this agent has no such thing": its path answers 501, its fields stay out.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/direct.h"
#include "model/snapshot.h"
#include "telemetry/connection_record.h"

namespace sockmesh::admin {

struct Readiness {
  bool ready = false;
  std::string text;  // the reason when not ready: "config not received from folder /etc/sockmesh"
};

// Copies of open connections, refreshed, in any order.
struct FlowListing {
  std::vector<telemetry::ConnectionRecord> flows;
  uint64_t total = 0;  // open connections; more than flows.size() when the listing was cut
};

// One lane, and what the start-up self-test said of it.
struct LaneStatus {
  model::Lane lane{};
  bool available = false;  // can be used: the self-test passed
  bool enabled = false;    // is used: mode and run-time switch allow it
  std::string verdict;     // "passed: 8 of 8 checks", "failed: check 4 (half-close): ...", "not asked for
                           // (--data-path epoll)"
  uint64_t flows_active = 0, flows_total = 0;
};

struct WorkerStatus {
  uint32_t index = 0;
  std::string backend;  // "io_uring", "epoll"
  uint64_t connections_active = 0, connections_total = 0;
};

// Where configuration comes from and how the last load went.
struct ConfigStatus {
  std::string source;     // "folder", "kubernetes", "xds"
  std::string location;   // the folder, API server or istiod
  WallTime loaded{};      // of the snapshot in force
  uint64_t rejected = 0;  // loads that left the last good configuration in force
  std::string
      last_error;         // of the last load: why it was refused, else its first problem; "" when it was good
  uint64_t problems = 0;  // of the last load, all of them
  bool refused = false;   // the last load: it changed nothing, what was in force, if anything, is
};

// A port that a listener is to have and that could not be bound so far.
struct UnboundPort {
  std::string listener, address, error;
};

// How looking up a name of a DNS cluster goes.
struct NameStatus {
  std::string name;
  std::string state;                   // of the last lookup: "pending", "answered", "empty", "failing"
  std::vector<std::string> addresses;  // in use
  std::string error;                   // of the last lookup, in words; "" when all went well
  std::optional<Duration> answer_age;  // since the last answer, empty or not; none: there was none
};

// What lane 3 has in the kernel, where there is one.
struct DirectStatus {
  uint64_t generation = 0;  // of its decisions, by their own count
  uint64_t destinations = 0, prefixes = 0, routes = 0, clusters = 0, hosts = 0;  // entries
  uint64_t bytes = 0;                                      // of memory that the maps may take at most
  std::vector<std::pair<std::string, uint64_t>> connects;  // what became of connect() calls, and events lost
};

struct AgentStatus {
  std::string version;  // of the program
  pid_t pid = 0;
  WallTime started{};
  std::string role;  // "sidecar", "gateway", "node"
  std::string pod, ns, node;
  std::map<std::string, std::string> address_origins;  // of the pod's addresses: "interface eth0"
  std::string interception;                            // "REDIRECT", "TPROXY", "NONE"
  std::string data_path;              // the mode asked for: "auto", "sockmap", "io_uring", "epoll"
  model::PerLane<bool> switched_off;  // the run-time switch
  bool draining = false;
  ConfigStatus config;
  std::vector<UnboundPort> unbound;
  std::vector<NameStatus> names;         // those whose last lookup did not bring addresses; bounded
  std::vector<model::Finding> findings;  // of the agent itself, beside the configuration's
  std::vector<LaneStatus> lanes;
  std::optional<DirectStatus> direct;
  std::vector<WorkerStatus> workers;
};

// What the running agent found out about an endpoint, which the snapshot cannot say.
struct EndpointState {
  std::string cluster;
  std::string address;   // as model::to_string(EndpointAddress); of DNS clusters the resolved ones
  bool ejected = false;  // by outlier detection
  uint64_t connections_active = 0, connections_total = 0, connect_failures = 0;
  std::optional<NameStatus>
      name;  // of an endpoint that is a name: then the figures are those of its addresses
};

struct Logger {
  std::string name, level;  // "trace", "debug", "info", "warning", "error", "critical", "off"
};

// Not ready any more, and no new connections: at once, or only after the drain time.
struct DrainRequest {
  bool inbound_only = false;  // connections that the pod opens are still taken
  bool graceful = false;
};

struct Sources {
  // --- read ---
  std::function<model::SnapshotPtr()> snapshot;  // null pointer: none received yet
  std::function<AgentStatus()> status;
  std::function<Readiness()> readiness;  // does not wait: probes are answered with it in the loop itself
  std::function<FlowListing()> flows;    // asks every worker; bounded in time by the owner
  std::function<std::vector<EndpointState>()> endpoint_states;
  std::optional<model::DirectTerms> direct_terms;  // absent: there is no lane 3
  std::function<std::string()> metrics;            // Prometheus text (telemetry::prometheus_text)
  std::function<std::vector<Logger>()> loggers;

  // --- change ---
  std::function<Result<void>(const std::string& logger, const std::string& level)>
      set_log_level;  // logger "" is all of them
  // sk_skb off: new and open flows stay in, or go to, lane 0. direct off: new connections are the agent's
  std::function<Result<void>(model::Lane lane, bool on)> set_enabled;
  std::function<void(const DrainRequest&)> drain;  // starts; does not wait for the end
  std::function<void()> quit;                      // asks the agent to end, as SIGTERM does
};

}  // namespace sockmesh::admin
