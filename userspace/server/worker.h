// Worker: one thread that carries traffic, of every pod that the process serves: its own loop and data path,
// and of each pod its share (pod_traffic.h). Workers share nothing but the current snapshots and what is
// remembered of each pod. Made, started and destroyed by the main thread; what else may be called from where
// stands there.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bpf/splice_maps.h"
#include "datapath/data_path.h"
#include "event/loop.h"
#include "server/pod_traffic.h"

namespace sockmesh::server {

// What all workers share; outlives them.
struct WorkerShared {
  connection::Limit& limit;
  std::shared_ptr<telemetry::AccessLog> access_log;
  datapath::Mode data_path;
  bpf::SpliceMaps* splice;         // null: no lane 1
  std::string splice_unavailable;  // then why
};

class Worker {
 public:
  // Loop backend: io_uring where the kernel lets us and the mode does not say otherwise, else epoll.
  static Result<std::unique_ptr<Worker>> create(unsigned index, const WorkerShared& shared);
  ~Worker();  // stops the loop, resets what is open, joins

  // Before start(). The share lives as long as the worker. `number`: see PodTraffic.
  PodTraffic& carry(pod::PodPtr pod, uint16_t number);
  void start();

  // Any thread, at once.
  unsigned index() const { return index_; }
  size_t active() const;  // connections of all pods
  event::Backend backend() const { return loop_->backend(); }
  datapath::LaneStats lane_stats() const { return data_path_->stats(); }
  void set_enabled(datapath::Lane lane, bool on) { data_path_->set_enabled(lane, on); }

 private:
  Worker(unsigned index, std::unique_ptr<event::Loop> loop, const WorkerShared& shared);
  void run();

  const unsigned index_;
  const WorkerShared shared_;
  std::unique_ptr<event::Loop> loop_;
  std::unique_ptr<datapath::DataPath> data_path_;
  std::vector<std::unique_ptr<PodTraffic>> shares_;  // constant once started
  std::thread thread_;
};

}  // namespace sockmesh::server
