// Connections: the connections of one pod that one worker carries, from accept to close, and what they share:
// the current snapshot, the services of the worker, limits. Worker thread only, except where said.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "connection/proxy_protocol.h"
#include "datapath/data_path.h"
#include "event/loop.h"
#include "model/snapshot.h"
#include "pod/pod.h"
#include "telemetry/worker_telemetry.h"
#include "upstream/upstreams.h"

namespace sockmesh::connection {

class Connection;

// How many connections the process carries, against how many it may: each takes two descriptors. Any thread.
class Limit {
 public:
  explicit Limit(size_t max) : max_(max) {}
  bool take();  // false: shed it (OM)
  void give_back() { standing_.fetch_sub(1, std::memory_order_relaxed); }
  size_t standing() const { return standing_.load(std::memory_order_relaxed); }
  size_t max() const { return max_; }

 private:
  const size_t max_;
  std::atomic<size_t> standing_{0};
};

// Which of our listening sockets took a connection: whose it is, and for what.
struct Entry {
  pod::PodPtr pod;
  model::Direction direction = model::Direction::kOutbound;
  uint16_t port = 0;  // it is bound to
  std::string bound;  // name of the Listener that is really bound; "" for capture ports
};

struct Accepted {
  Fd socket;
  SocketAddress remote;
  std::shared_ptr<const Entry> entry;
};

// Of one worker, and `upstreams` of one pod; all outlive Connections.
struct Services {
  event::Loop& loop;
  datapath::DataPath& data_path;
  telemetry::WorkerTelemetry& telemetry;
  upstream::Upstreams& upstreams;
  Limit& limit;
  Duration proxy_header_time = kProxyHeaderTime;  // a shorter one in tests
};

class Connections {
 public:
  // Until the pod's first snapshot, connections are accepted and held; so many, then the kernel's backlog
  // holds on.
  static constexpr size_t kMaxHeld = 1024;

  explicit Connections(Services services);
  ~Connections();  // resets what is still open

  // New connections use it from now on; open ones keep theirs. The first one releases those that are held.
  void set_snapshot(model::SnapshotPtr snapshot);
  const model::SnapshotPtr& snapshot() const { return snapshot_; }
  bool may_accept() const { return snapshot_ != nullptr || open_.size() < kMaxHeld; }

  void accept(Accepted accepted);
  size_t open() const { return open_.size(); }
  // Resets up to `count` of them, the oldest first.
  void reset(size_t count);

  // --- for Connection ---
  const Services& services() const { return services_; }
  // The really bound listener of that name in the current snapshot; null when it is gone.
  const model::Listener* bound_listener(const std::string& name) const;
  // Says that connections to `destination` come back to this agent; at most once a minute.
  void loop_found(const SocketAddress& destination);
  // It is over: forgets it, and destroys it as soon as nothing of it is on the stack.
  void closed(Connection& connection);

 private:
  const Services services_;
  model::SnapshotPtr snapshot_;
  std::unordered_map<std::string, const model::Listener*> bound_;  // into snapshot_
  std::map<uint64_t, std::unique_ptr<Connection>> open_;           // by id, so by age
  std::vector<std::unique_ptr<Connection>> ended_;
  std::optional<MonotonicTime> loop_told_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for posted work that may come too late
};

}  // namespace sockmesh::connection
