// PodTraffic: what one worker carries of one pod: its listening sockets and connections, its balancers, its
// counters. The worker's loop does the work; a share of a pod is made while the worker is not started yet, by
// the main thread, and what it carries ends in the worker's thread. Its counters can be read for as long as
// it lives.
//
// Thread rule: every method may be called from any thread, and posts to the loop or reads what is atomic,
// but for end().
#pragma once

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connection/connections.h"
#include "pod/pod.h"
#include "server/binds.h"
#include "telemetry/access_log.h"
#include "telemetry/counters.h"
#include "telemetry/worker_telemetry.h"

namespace sockmesh::server {

class PodTraffic {
 public:
  // Of the worker and of the process; all outlive this.
  struct Carrier {
    event::Loop& loop;
    datapath::DataPath& data_path;
    connection::Limit& limit;
    std::shared_ptr<telemetry::AccessLog> access_log;
  };
  // `number` tells the shares of a process apart: it is in the ids of their connections.
  PodTraffic(pod::PodPtr pod, uint16_t number, const Carrier& carrier);
  ~PodTraffic();
  void end();  // the worker's thread, once its loop has ended: resets what is open

  const pod::PodPtr& pod() const { return pod_; }

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
  size_t active() const { return telemetry_.active(); }
  void add_to(telemetry::CounterTotals& totals) const { telemetry_.add_to(totals); }

 private:
  const pod::PodPtr pod_;
  event::Loop& loop_;
  telemetry::WorkerTelemetry telemetry_;

  // The worker's thread alone, once it runs; gone when it ends.
  struct Carried;
  std::unique_ptr<Carried> carried_;
};

}  // namespace sockmesh::server
