// Agent: the running agent as its parts: what the workers share, the workers, what was published, how far the
// end has come. The main thread builds and changes it; what the admin threads read is atomic or locked.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "admin/sources.h"
#include "connection/connections.h"
#include "server/bound_ports.h"
#include "server/options.h"
#include "server/publication.h"
#include "server/snapshot_source.h"
#include "server/splicing.h"
#include "server/worker.h"
#include "telemetry/access_log.h"
#include "upstream/cluster_state.h"
#include "upstream/name_cache.h"
#include "upstream/source_ports.h"

namespace sockmesh::server {

struct Agent {
  Agent(const Options& chosen, size_t max_connections) : options(chosen), limit(max_connections) {}

  // --- set while starting, in the order of server.cc; constant before anybody else can ask ---
  const Options options;
  const WallTime started = wall_now();
  const MonotonicTime started_monotonic = monotonic_now();
  Splicing splicing;
  std::vector<std::unique_ptr<Worker>> workers;
  std::unique_ptr<SnapshotSource> configuration;
  std::unique_ptr<BoundPorts> ports;

  // --- any thread ---
  upstream::ClusterRegistry clusters;
  upstream::NameCache names;
  upstream::OwnDials own_dials;
  upstream::SourcePorts source_ports{static_cast<uint32_t>(started_monotonic.time_since_epoch().count())};
  connection::Limit limit;
  const std::shared_ptr<telemetry::AccessLog> access_log = std::make_shared<telemetry::AccessLog>();
  std::atomic<bool> draining{false};
  model::PerLane<std::atomic<bool>> switched_off;  // by an operator, at run time
  model::SnapshotPtr snapshot() const { return publication.snapshot(); }
  size_t active() const;  // connections of all workers

  // --- main thread ---
  // Leased to each capture socket, and held here while any other may be opened: gone when nobody listens.
  Worker::Lease listening;
  Publication publication;
  BoundPorts::Effects port_effects();  // for `ports`: sockets of the workers
  // Closes the listening sockets of a direction, or all; open connections go on.
  void stop_accepting(std::optional<model::Direction> direction);
  ~Agent() { workers.clear(); }  // before what they share

 private:
  Result<void> open_port(const Bind& bind);

  // Ports on which sockets of ours listen: a socket for another address, or for the listener that follows, is
  // one more of the group. Main thread.
  std::map<uint16_t, std::weak_ptr<const void>> leased_;
};

// What the admin server may ask of it. `drain` and `quit` must be safe to call from any thread.
admin::Sources admin_sources(Agent& agent, std::function<void(const admin::DrainRequest&)> drain,
                             std::function<void()> quit);

}  // namespace sockmesh::server
