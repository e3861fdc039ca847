// Worker: one thread that carries traffic: its own loop, listening sockets, connections, counters and data
// path. Workers share nothing but the current snapshot and what is remembered about clusters. Made and
// destroyed by the main thread; every other method may be called from any thread and only posts to the loop,
// except where said.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bpf/splice_maps.h"
#include "connection/acceptor.h"
#include "connection/connections.h"
#include "datapath/data_path.h"
#include "event/loop.h"
#include "server/binds.h"
#include "telemetry/access_log.h"
#include "telemetry/counters.h"
#include "telemetry/worker_telemetry.h"
#include "upstream/upstreams.h"

namespace sockmesh::server {

// What all workers share; outlives them.
struct WorkerShared {
  upstream::ClusterRegistry& clusters;
  const upstream::NameCache& names;
  upstream::OwnDials& own_dials;
  upstream::SourcePorts& source_ports;
  connection::Limit& limit;
  std::shared_ptr<telemetry::AccessLog> access_log;
  datapath::Mode data_path;
  bpf::SpliceMaps* splice;         // null: no lane 1
  std::string splice_unavailable;  // then why
  connection::Settings settings;
};

class Worker {
 public:
  // Loop backend: io_uring where the kernel lets us and the mode does not say otherwise, else epoll.
  static Result<std::unique_ptr<Worker>> create(unsigned index, const WorkerShared& shared);
  ~Worker();  // stops the loop, resets what is open, joins

  void start();
  void publish(model::SnapshotPtr snapshot);
  void names_changed();
  // `lease` is let go of once the socket is closed, whoever closes it, in the worker's thread.
  using Lease = std::shared_ptr<const void>;
  void listen(Fd socket, connection::Entry entry, Lease lease);
  void close_listener(const Bind& bind);
  // All of them, or those of a direction; whoever waits in a backlog is taken first.
  void close_listeners(std::optional<model::Direction> direction);
  void reset(size_t count);  // resets that many of the oldest connections

  std::future<std::vector<telemetry::ConnectionRecord>> flows();  // copies, once the loop came round

  // Any thread, at once.
  unsigned index() const { return index_; }
  size_t active() const { return telemetry_.active(); }
  event::Backend backend() const { return loop_->backend(); }
  void add_to(telemetry::CounterTotals& totals) const { telemetry_.add_to(totals); }
  datapath::LaneStats lane_stats() const { return data_path_->stats(); }
  void set_enabled(datapath::Lane lane, bool on) { data_path_->set_enabled(lane, on); }

 private:
  Worker(unsigned index, std::unique_ptr<event::Loop> loop, const WorkerShared& shared);
  void run();

  const unsigned index_;
  std::unique_ptr<event::Loop> loop_;
  telemetry::WorkerTelemetry telemetry_;
  std::unique_ptr<datapath::DataPath> data_path_;
  std::thread thread_;

  // Only the worker's thread from start() on; gone when it ends.
  struct Traffic;
  std::unique_ptr<Traffic> traffic_;
};

}  // namespace sockmesh::server
