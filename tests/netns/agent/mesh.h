// A mesh for end-to-end tests: pods (namespaces), sidecars and gateways (real agents behind real rules) and a
// folder of manifests that plays the API server. Verbs, so that a case fits a screen. Failures throw. One
// thread.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "access_line.h"
#include "test_support/netns.h"
#include "test_support/process.h"
#include "test_support/sanitized.h"
#include "test_support/temp_dir.h"

namespace sockmesh::test {

struct AgentOptions {
  std::string role = "sidecar";
  std::string ns = "default";
  std::string data_path = "auto";
  int workers = 2;
  std::string interception = "REDIRECT";   // or TPROXY
  std::vector<std::string> more;           // further flags of the agent
  bool ready = true;                       // wait until it is; else until it answers on 15021
  std::vector<std::string> before;         // a command that runs the agent's: setpriv and its options
  std::map<std::string, std::string> env;  // and of its environment
  std::string direct_mark;                 // the rules let it pass (sockmesh-init --direct-mark)
  std::string exempt = "1337";  // user and group whose traffic the rules let pass; the agent's is 1337
};

// A running agent of a pod.
class Agent {
 public:
  Agent(Pod& pod, const std::string& name, const std::string& config, const std::string& hosts,
        const AgentOptions& options);
  // Waits until it is ready, or answers (AgentOptions::ready); throws when it does not.
  void wait(const std::string& name, const AgentOptions& options);

  Pod& pod() { return pod_; }
  Process& process() { return process_; }
  const std::string& run_dir() const { return run_dir_; }
  nlohmann::json ctl(const std::string& command) const;  // sockmeshctl COMMAND... -o json
  std::vector<AccessLine> log() const;                   // all lines so far
  std::string log_path() const { return dir_.file("stdout"); }
  std::string errors() const;                     // what it said of itself
  std::string metrics() const;                    // /stats/prometheus on 15090
  std::pair<int, std::string> readiness() const;  // status and text of 15021; 0: no answer
  size_t open_flows() const;
  size_t descriptors() const;                             // open file descriptors
  uint64_t resident() const;                              // bytes
  uint64_t status_bytes(const std::string& field) const;  // of /proc/PID/status: "VmRSS", "RssAnon"

 private:
  Pod& pod_;
  TempDir dir_;
  std::string run_dir_;
  Process process_;
};

class Mesh {
 public:
  Mesh();

  // kubectl apply and delete: a file of the folder, replaced in one step.
  void apply(const std::string& file, const std::string& manifests);
  void apply_file(const std::string& path);  // of the source tree
  void remove(const std::string& file);
  void name(const std::string& host, const std::string& address);  // in the cluster's DNS

  Pod& pod(const std::string& name, const std::string& v4) { return network_.add(name, v4); }
  Netns& node() { return network_.node(); }
  void rules(Pod& pod, const AgentOptions& options = {});  // as the injected pod's init container
  // Rules and agent, ready when it returns.
  Agent& sidecar(Pod& pod, const std::string& name, AgentOptions options = {});
  Agent& gateway(Pod& pod, const std::string& name, AgentOptions options = {});
  // An agent alone, where there are rules already, or none are wanted.
  Agent& agent(Pod& pod, const std::string& name, AgentOptions options = {});
  // One that is not to come up: its exit status, and what it said.
  std::pair<int, std::string> refused_agent(Pod& pod, const std::string& name, AgentOptions options = {});
  const std::string& config() const { return config_.path(); }  // the folder
  // sm-echo: answers lines with a prefix.
  void echo(const Netns& at, uint16_t port, const std::string& prefix, const std::string& welcome = "");
  void echo(Pod& pod, uint16_t port, const std::string& prefix, const std::string& welcome = "") {
    echo(pod.netns, port, prefix, welcome);
  }
  // Says a line and returns the first one that comes back, "" if none does.
  std::string ask(Pod& from, const SocketAddress& to, const std::string& line);
  // What the server says first.
  std::string listen(Pod& from, const SocketAddress& to);

 private:
  TempDir config_;
  TempDir names_;
  PodNetwork network_;
  std::vector<std::unique_ptr<Agent>> agents_;
  std::vector<Process> applications_;
};

// A ConfigMap "istio" with this MeshConfig and the access log on.
std::string mesh_config(const std::string& more = "");
std::string source_file(const std::string& path);  // of the source tree

}  // namespace sockmesh::test
