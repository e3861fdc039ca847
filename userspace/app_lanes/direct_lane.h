// DirectLane: lane 3 of one pod. It keeps the kernel's decisions in step with the snapshot in force and with
// what is known of hosts, and follows the flows that they led (DirectFlows). A thread of its own does that,
// so that neither a long compilation nor the workers' traffic makes events wait: the kernel's ring is
// bounded.
//
// In doubt connections are the agent's: a configuration that does not fit leaves the kernel no decisions, and
// status() says why (docs/direct.md#when-in-doubt). What is pinned goes on when this ends.
//
// Made and destroyed by one thread; the rest is for any.
#pragma once

#include <array>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bpf/direct_maps.h"
#include "model/direct.h"
#include "pod/pod.h"
#include "telemetry/access_log.h"
#include "telemetry/connection_record.h"
#include "telemetry/counters.h"

namespace sockmesh::app_lanes {

struct DirectStatus {
  std::string trouble;    // why the kernel has no decisions; "": it has
  bool detached = false;  // a program is not on the cgroup any more
  uint64_t generation = 0;
  // Entries in force.
  size_t destinations = 0, prefixes = 0, routes = 0, clusters = 0, hosts = 0;
  std::array<uint64_t, DIRECT_COUNTS> counts{};  // by direct_count
  bool enabled = false;                          // the kill switch
  uint64_t bytes = 0;                            // of memory that the maps may take at most
};

class DirectLane {
 public:
  struct Options {
    uint16_t number = 0;  // see telemetry::WorkerTelemetry
    model::DirectTerms terms;
    bool pinned = false;  // another agent may go on with the flows
  };
  // `maps` are attached.
  static Result<std::unique_ptr<DirectLane>> start(pod::PodPtr pod, std::unique_ptr<bpf::DirectMaps> maps,
                                                   std::shared_ptr<telemetry::AccessLog> log,
                                                   const Options& options);
  ~DirectLane();
  DirectLane(const DirectLane&) = delete;
  DirectLane& operator=(const DirectLane&) = delete;

  void publish(model::SnapshotPtr snapshot);
  void names_changed();
  // Off: new connections are the agent's, open flows go on.
  void set_enabled(bool enabled) { maps_->set_enabled(enabled); }

  std::future<std::vector<telemetry::ConnectionRecord>> flows();  // fresh, once its thread came round
  size_t active() const;
  uint64_t total() const;
  uint64_t bytes() const;  // of ended flows
  void add_to(telemetry::CounterTotals& totals) const;
  const model::DirectTerms& terms() const { return terms_; }
  DirectStatus status() const;

 private:
  struct Carried;
  DirectLane(pod::PodPtr pod, std::unique_ptr<bpf::DirectMaps> maps, const Options& options);

  const pod::PodPtr pod_;
  const std::unique_ptr<bpf::DirectMaps> maps_;
  const model::DirectTerms terms_;
  std::unique_ptr<event::Loop> loop_;
  std::unique_ptr<Carried> carried_;  // the thread's alone once it runs, but for what is atomic
  std::thread thread_;
};

}  // namespace sockmesh::app_lanes
