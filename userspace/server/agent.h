// Agent: the process as its parts: what all pods share, the workers, the pods that they carry, where the
// configuration comes from, how far the end has come. A sidecar serves one pod; any number can be served.
//
// Made and changed by the main thread, in this order: create(), serve() for each pod, start(), configure().
// What other threads may read says so.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "server/app_lanes.h"
#include "server/configuration.h"
#include "server/options.h"
#include "server/served_pod.h"
#include "server/splicing.h"
#include "server/worker.h"
#include "telemetry/access_log.h"

namespace sockmesh::server {

class Agent {
 public:
  // Its workers are there, and do nothing yet. At most `max_connections` are carried at a time, of all pods.
  // The loop is that of the calling thread and outlives it.
  static Result<std::unique_ptr<Agent>> create(event::Loop& loop, const Options& options,
                                               size_t max_connections, Splicing splicing);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  ~Agent() = default;  // resets what is open

  // One pod more, before start(). `listening`: see ServedPod.
  Result<ServedPod*> serve(pod::PodPtr pod, const upstream::ResolverOptions& resolver,
                           ServedPod::Lease listening);
  // Lane 3 of a pod, before configure(); what it lacks is told by status.
  void carry_direct(ServedPod& pod, AppLanes lanes);
  void start();  // the workers' threads
  // From here on the pods have snapshots, made of what the origin says, as soon as it can be read.
  void configure(const Origin& origin);
  void reload();
  // Closes the listening sockets of a direction, or all; open connections go on.
  void stop_accepting(std::optional<model::Direction> direction);

  // --- any thread ---
  const Options options;
  const WallTime started = wall_now();
  const MonotonicTime started_monotonic = monotonic_now();
  const Splicing splicing;
  std::string
      direct_verdict;  // of the self-test of lane 3, or why there is no such lane; constant once started
  const std::shared_ptr<telemetry::AccessLog> access_log = std::make_shared<telemetry::AccessLog>();
  std::atomic<bool> draining{false};
  model::PerLane<std::atomic<bool>> switched_off;  // by an operator, at run time
  // Constant once started.
  const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }
  const std::vector<std::unique_ptr<ServedPod>>& pods() const { return pods_; }
  const SnapshotSource& configuration() const { return *configuration_; }  // after configure()
  size_t active() const;                                                   // connections of all pods

 private:
  Agent(event::Loop& loop, const Options& chosen, size_t max_connections, Splicing tested);

  event::Loop& loop_;
  connection::Limit limit_;
  // Each refers to those before it, and goes first.
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<ServedPod>> pods_;
  std::unique_ptr<SnapshotSource> configuration_;
};

// What the admin server may ask of it about one of its pods. `drain` and `quit` must be safe to call from any
// thread.
admin::Sources admin_sources(Agent& agent, const ServedPod& pod,
                             std::function<void(const admin::DrainRequest&)> drain,
                             std::function<void()> quit);

}  // namespace sockmesh::server
