// Two pods with sidecars, `client` and `store`, and checked streams between them, so that a case is one call:
//
//   sm-streams client ─ 15001 agent of client ──── 15006 agent of store ─ sm-streams server
//
// What the applications counted is compared with what the agents logged and with what Prometheus reads. One
// thread.
#pragma once

#include <optional>
#include <string>

#include "mesh.h"
#include "test_support/cgroup.h"
#include "test_support/scenarios.h"

namespace sockmesh::test {

// What an agent logged and counted since the object was made.
class Since {
 public:
  explicit Since(Agent& agent);

  std::vector<AccessLine> lines() const;
  uint64_t received() const;  // bytes, summed over lines()
  uint64_t sent() const;
  // The increase of a metric.
  double metric(const std::string& name, const std::map<std::string, std::string>& labels = {}) const;
  Agent& agent() const { return agent_; }

 private:
  Agent& agent_;
  size_t lines_before_;
  std::string metrics_before_;
};

struct StreamRun {
  Scenario scenario = Scenario::kEcho;
  int flows = 4;
  uint64_t bytes = 200'000;
  bool ipv6 = false;
  std::vector<std::string> client_options;  // further ones of sm-streams
};

struct TwoSidecars {
  // `data_path` as the agent's --data-path; or "direct": auto, and the client's connections by lane 3.
  // `more`: further flags of the client's agent.
  explicit TwoSidecars(const std::string& data_path = "auto", std::vector<std::string> more = {});

  // The store's service address.
  SocketAddress service(uint16_t port, bool ipv6 = false) const;
  // Starts the server of a run on port 7000 (7001 if it speaks first) and waits until it listens.
  Process start_server(const StreamRun& run);
  Process start_client(const StreamRun& run);
  Agent& restart_client();  // another agent for the client's pod, where the first one is gone
  // Runs it and checks everything: both tallies, both logs, both metrics, nothing left open.
  void check(const StreamRun& run);
  // The flows that lane ("sk_skb", ...) has carried so far, both agents together; -1 if the lane is not in
  // use.
  int64_t lane_flows(const std::string& lane);
  // Whether what the data path is there for is not in use, since this machine lacks it: the case is skipped
  // then.
  bool misses_lane();

  Mesh mesh;
  Pod& client_pod;
  Pod& store_pod;
  std::optional<Cgroup> client_cgroup;  // "direct": of the client's applications
  const AgentOptions client_options;
  Agent& client;
  Agent& store;

 private:
  std::string service_name(bool ipv6) const;

  const std::string data_path_;
};

// The JSON line a sm-streams process ended with.
nlohmann::json tally_of(const Process& process);

}  // namespace sockmesh::test
