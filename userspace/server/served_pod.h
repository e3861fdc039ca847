// ServedPod: a pod as this process serves it: the pod, the shares of it that the workers carry, the ports
// that are open for it, the names that it needs. Main thread, except where said.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "server/bound_ports.h"
#include "server/capture_sockets.h"
#include "server/pod_traffic.h"
#include "server/publication.h"
#include "upstream/resolver.h"

namespace sockmesh::server {

class ServedPod {
 public:
  using Lease = PodTraffic::Lease;

  // `shares`: one of each worker; they and the loop outlive this. `listening` is leased to each capture
  // socket, and held here while any other port may be opened: gone when nobody listens for this pod.
  ServedPod(event::Loop& loop, pod::PodPtr pod, std::vector<PodTraffic*> shares, Lease listening);
  ServedPod(const ServedPod&) = delete;
  ServedPod& operator=(const ServedPod&) = delete;

  // Before the first publication: who resolves the names of its clusters, from its network namespace.
  Result<void> resolve_names(upstream::ResolverOptions options);
  // Who acts by a new snapshot. What the process has to do first is added before the pod's own parts are.
  Publication& publication() { return publication_; }
  void add_own_observers();

  void listen(std::vector<std::vector<CaptureSocket>> capture);
  // Closes the listening sockets of a direction, or all; open connections go on.
  void stop_accepting(std::optional<model::Direction> direction);

  // --- any thread ---
  const pod::Pod& pod() const { return *pod_; }
  const std::vector<PodTraffic*>& shares() const { return shares_; }
  std::vector<BoundPorts::Missing> missing_ports() const { return ports_.missing(); }
  size_t active() const;  // connections of all workers

 private:
  BoundPorts::Effects port_effects();
  Result<void> open_port(const Bind& bind);

  event::Loop& loop_;
  const pod::PodPtr pod_;
  const std::vector<PodTraffic*> shares_;
  Lease listening_;
  BoundPorts ports_;
  std::unique_ptr<upstream::Resolver> resolver_;
  Publication publication_;

  // Ports on which sockets of ours listen: a socket for another address, or for the listener that follows, is
  // one more of the group.
  std::map<uint16_t, std::weak_ptr<const void>> leased_;
};

}  // namespace sockmesh::server
