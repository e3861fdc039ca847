// Pod: one pod whose connections this process carries: who it is, where its sockets are made, and what is
// kept of it for as long as it is served, across configurations and by all workers. Of two pods nothing is
// shared, since what tells things apart inside of one does not between them: both have a cluster
// `inbound|9000||`, and connections from 127.0.0.1 to 127.0.0.1.
//
// A sidecar serves one, in the network namespace of the process.
//
// What carries connections holds it (PodPtr), so it outlives them. The constants and every method are for any
// thread; so are the parts, by their own rules.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "config/resources/proxy.h"
#include "model/snapshot.h"
#include "net/network_namespace.h"
#include "upstream/upstreams.h"

namespace sockmesh::pod {

class Pod {
 public:
  explicit Pod(config::ProxyIdentity who, net::NetworkNamespace where = {});

  const config::ProxyIdentity identity;
  const net::NetworkNamespace network;
  // Ports that its rules send connections to: who dials them directly would loop. A gateway has none.
  const std::vector<uint16_t> capture_ports;
  // TPROXY: the application sees the client's address.
  bool keeps_client_source() const { return identity.tproxy; }

  upstream::ClusterRegistry clusters;
  upstream::NameCache names;
  upstream::OwnDials own_dials;
  upstream::SourcePorts source_ports;
  // What each worker's Upstreams of this pod refers to.
  upstream::Upstreams::Shared for_upstreams() { return {clusters, names, own_dials, source_ports, network}; }

  // The snapshot in force; null until the first one was published. Open connections keep theirs.
  model::SnapshotPtr snapshot() const;
  void set_snapshot(model::SnapshotPtr snapshot);

 private:
  mutable Mutex mutex_;
  model::SnapshotPtr snapshot_ SOCKMESH_GUARDED_BY(mutex_);
};
using PodPtr = std::shared_ptr<Pod>;

}  // namespace sockmesh::pod
