// DirectFlows: the direct flows of one pod as connections like any other: a line of the access log, metrics
// while they are open and at their end, a row of the flow table, a place in their cluster's counts, and a
// word to outlier detection when connecting failed. Told of them by events, and by looking where events were
// lost. One thread, except where said.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "app_lanes/flow_record.h"
#include "pod/pod.h"
#include "telemetry/connection_scope.h"
#include "telemetry/worker_telemetry.h"
#include "upstream/cluster_state.h"

namespace sockmesh::app_lanes {

class DirectFlows {
 public:
  // `number`: see WorkerTelemetry. `led_by` says what is known of a flow's decisions.
  DirectFlows(pod::Pod& pod, uint16_t number, std::shared_ptr<telemetry::AccessLog> log,
              std::function<LedBy(const direct_flow&)> led_by);

  void happened(const direct_record& record);

  // A look at all open flows, in three steps, since flows come and go meanwhile: begin; then consume what
  // events there are, ask the kernel, and say here what it said; then consume again, and end.
  void begin_look();
  void seen(const std::vector<direct_record>& records);
  // `lost`: events were, since kLooksToEnd looks ago. Then whoever none of so many looks saw has ended
  // unseen. One look may miss a flow: the kernel's walk passes over one when another one goes at the same
  // moment.
  void end_look(bool lost);
  static constexpr uint64_t kLooksToEnd = 3;

  // The process ends. Who goes on with them will write their lines; if nobody does, they are written now.
  void leave(bool to_another);

  // That have a place in a cluster's count.
  uint32_t in_cluster(const Text& cluster) const;

  std::vector<ConnectionRecord> records() { return telemetry_.flows(); }  // as of the last look
  void report_bytes() { telemetry_.report_bytes(); }
  void configuration_changed() { hosts_.clear(); }

  // --- any thread ---
  size_t active() const { return telemetry_.active(); }
  uint64_t total() const { return total_.load(std::memory_order_relaxed); }
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }  // of ended ones
  void add_to(telemetry::CounterTotals& totals) const { telemetry_.add_to(totals); }

 private:
  // A socket can connect again: its cookie alone is not a flow.
  using Key = std::pair<uint64_t, uint64_t>;  // cookie, time of the first SYN
  struct Flow {
    Flow(telemetry::WorkerTelemetry& telemetry, ConnectionRecord record)
        : scope(telemetry, std::move(record)) {}
    telemetry::ConnectionScope scope;
    upstream::Lease lease;
    bool counted = false;  // in places_
    uint64_t seen_in = 0;  // the last look that saw it
  };
  using Flows = std::map<Key, Flow>;
  static Key key_of(const direct_record& record) { return {record.flow.cookie, record.flow.connect_ns}; }

  Flows::iterator open(const direct_record& record);
  void end(Flows::iterator flow, const direct_record& record);
  void take_place(Flow& flow);
  void forget(Flows::iterator flow);
  void report_connect(const ConnectionRecord& record, bool connected);
  const upstream::HostList& hosts_of(const model::Cluster& cluster, upstream::ClusterState& state);

  pod::Pod& pod_;
  const std::function<LedBy(const direct_flow&)> led_by_;
  telemetry::WorkerTelemetry telemetry_;
  Flows flows_;                      // established ones
  std::map<Text, uint32_t> places_;  // taken, by cluster
  uint64_t look_ = 0;

  // For outlier detection: a cluster's hosts, as of a version of the names.
  struct Hosts {
    uint64_t names_version = 0;
    upstream::HostList list;
  };
  std::map<Text, Hosts> hosts_;

  std::atomic<uint64_t> total_{0}, bytes_{0};
};

}  // namespace sockmesh::app_lanes
