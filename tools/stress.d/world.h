// Two pods on one node, each with its sidecar and the rules that sockmesh-init writes:
//
//   client ─▶ service:PORT
//             rules, agent of client-0 ── veth, node, veth ── rules, agent of store-0 ─▶ server
//
// The service has a port for each slot of the drivers, and addresses of both families. One thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/disturb.h"
#include "drive.h"
#include "mesh.h"

namespace sockmesh::test {
class Cgroup;
}

namespace sockmesh::stress {

struct WorldOptions {
  // Of the agents: auto, sockmap, io_uring, epoll; or direct: auto, and lane 3 for the client's connections.
  std::string mode = "auto";
  std::string interception = "REDIRECT";  // or TPROXY
  size_t slots = 24;
  std::optional<Disturbance> disturbance;
  bool favour = false;      // the agents, over the kernel's workers: backlogs wait then
  double loss_percent = 0;  // of packets on the node, each way
  std::chrono::microseconds delay{};
};

class World {
 public:
  // Throws std::runtime_error when something cannot be had.
  explicit World(const WorldOptions& options);
  ~World();

  std::vector<Listener> listen();  // on every slot's port, in the server's pod
  test::Pod& client_pod() { return client_pod_; }
  test::Agent& client() { return *agents_[0]; }
  test::Agent& server() { return *agents_[1]; }
  const std::vector<test::Agent*>& agents() const { return agents_; }
  SocketAddress service(bool ipv6) const;
  void change_configuration(uint64_t how);  // something that concerns no open flow; any thread, one at a time

  // What the lanes have moved so far, both agents together.
  struct Moved {
    uint64_t user_bytes = 0, spliced_bytes = 0, direct_bytes = 0;  // of ended flows
    uint64_t spliced_flows = 0, refused = 0, stuck = 0, log_lines_lost = 0;
  };
  Moved moved() const;
  // "" or what of all this cannot be had on this machine.
  std::string missing() const;
  // What is not as it was before the flows, waited for: open flows, descriptors, memory, and what the agents
  // have to say. Ends the agents, whose exit status is looked at too.
  std::vector<std::string> end();
  std::string dead_agent();  // "" while both live

 private:
  void disturb_network();

  bool direct() const { return options_.mode == "direct"; }

  const WorldOptions options_;
  std::string missing_;
  std::unique_ptr<test::Cgroup> client_cgroup_;  // mode direct; this process is in it once the agents run
  test::Mesh mesh_;
  test::Pod& client_pod_;
  test::Pod& server_pod_;
  std::vector<test::Agent*> agents_;
  std::vector<size_t> descriptors_before_;
};

}  // namespace sockmesh::stress
