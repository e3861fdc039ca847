// ServedPod: a pod as this process serves it: the pod, the shares of it that the workers carry, the ports
// that are open for it, the names that it needs. Main thread, except where said.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "app_lanes/direct_lane.h"
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
  // socket, and held here while any other port may be opened: gone when nobody listens for this pod. Names of
  // its clusters are asked for from its network namespace. `first` acts by a new snapshot before the pod
  // does.
  static Result<std::unique_ptr<ServedPod>> create(event::Loop& loop, pod::PodPtr pod,
                                                   std::vector<PodTraffic*> shares, Lease listening,
                                                   upstream::ResolverOptions names,
                                                   Publication::Observer first);
  ServedPod(const ServedPod&) = delete;
  ServedPod& operator=(const ServedPod&) = delete;

  Publication& publication() { return publication_; }

  // Lane 3, which follows every snapshot from the next one on. Before the first.
  void carry_direct(std::unique_ptr<app_lanes::DirectLane> direct) { direct_ = std::move(direct); }

  void listen(std::vector<std::vector<CaptureSocket>> capture);
  // Closes the listening sockets of a direction, or all; open connections go on.
  void stop_accepting(std::optional<model::Direction> direction);

  // --- any thread ---
  const pod::Pod& pod() const { return *pod_; }
  const pod::PodPtr& shared_pod() const { return pod_; }
  const std::vector<PodTraffic*>& shares() const { return shares_; }
  std::vector<BoundPorts::Missing> missing_ports() const { return ports_.missing(); }
  size_t active() const;  // connections of all workers, and direct ones
  app_lanes::DirectLane* direct() const {
    return direct_.get();
  }  // null: no lane 3. Constant once there is a snapshot

 private:
  ServedPod(event::Loop& loop, pod::PodPtr pod, std::vector<PodTraffic*> shares, Lease listening);
  void act_on_publication();
  BoundPorts::Effects port_effects();
  Result<void> open_port(const Bind& bind);

  const pod::PodPtr pod_;
  const std::vector<PodTraffic*> shares_;
  Lease listening_;
  BoundPorts ports_;
  std::unique_ptr<app_lanes::DirectLane> direct_;
  std::unique_ptr<upstream::Resolver> resolver_;  // never null once created
  Publication publication_;

  // Ports on which sockets of ours listen: a socket for another address, or for the listener that follows, is
  // one more of the group.
  std::map<uint16_t, std::weak_ptr<const void>> leased_;
};

}  // namespace sockmesh::server
