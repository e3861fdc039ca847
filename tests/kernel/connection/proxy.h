// A worker on loopback, as small as can be: one really bound listener, clusters as the test says, the access
// log in a file. Verbs for what clients and servers do, and the log line that every connection ends with.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "connection/acceptor.h"
#include "connection/connections.h"
#include "pod/pod.h"
#include "telemetry/access_log.h"
#include "test_support/temp_dir.h"
#include "upstream/upstreams.h"

namespace sockmesh::test {

// A blocking client or server end with a deadline on everything.
class Peer {
 public:
  explicit Peer(Fd socket);
  void say(const std::string& text);
  bool try_say(const std::string& text);  // false: nobody listens any more
  std::string hear(size_t bytes);         // that many, or fewer when the stream ended
  // "eof", "reset", or what came instead.
  std::string end();
  void finish();  // FIN
  void reset();   // RST
  void close() { socket_.reset(); }
  SocketAddress local() const;
  SocketAddress remote() const;

 private:
  Fd socket_;
};

// A listening socket that does what is asked of it.
class Server {
 public:
  explicit Server(bool ipv6 = false, int backlog = 16);
  SocketAddress address() const { return address_; }
  Peer accept();  // waits for a connection
  bool nobody_waits() const;

 private:
  Fd listener_;
  SocketAddress address_;
};

// A server that answers no SYN until it is asked to: its backlog is full.
struct BlackHole {
  explicit BlackHole(bool ipv6);
  void answer();  // the next SYN, which the kernel repeats within a second
  Server server;
  Fd fillers[2];
};

// An address on which nobody listens.
SocketAddress nobody();

std::vector<event::Backend> backends();  // that this machine has

struct LogLine {
  std::string flags, details, termination, failure, received, sent, upstream, cluster, upstream_local,
      destination, client, server_name;
};

class Proxy {
 public:
  explicit Proxy(size_t max_connections = 1000, event::Backend backend = event::Backend::kEpoll,
                 bool ipv6 = false, Duration proxy_header_time = connection::kProxyHeaderTime);
  ~Proxy();

  // --- the configuration, before publish(); published again it replaces the one in force ---
  model::Cluster& cluster(const std::string& name, const std::vector<SocketAddress>& endpoints);
  model::FilterChain& chain(const std::string& name, const std::vector<std::string>& clusters);
  model::Listener& listener() { return listener_; }
  model::MeshSettings& mesh() { return mesh_; }
  void publish();
  // All of it: one cluster, and a chain that leads everything there.
  void lead_to(const std::string& cluster, const std::vector<SocketAddress>& endpoints);

  Peer connect();
  void end();  // resets all that is open, as an agent does that ends
  // The worker stands still once a connection is in `state`, from stopped() to go_on(): what the network does
  // meanwhile has happened before it looks again. In kConnecting connect() was called and not yet asked for.
  void stop_in(telemetry::ConnectionState state);
  void stopped();  // waits for it
  void go_on();
  // Does `first` while the worker stands still. Then, once a turn of the worker's loop, how many connections
  // are open, up to the turn in which `all` are.
  std::vector<size_t> open_by_turns(const std::function<void()>& first, size_t all);
  SocketAddress address() const { return address_; }
  LogLine logged();  // of the next connection that ended
  size_t log_lines() const;
  size_t open() const { return telemetry_->active(); }
  upstream::ClusterRegistry& registry() { return pod_->clusters; }
  std::vector<telemetry::ConnectionRecord> flows();

 private:
  struct Stop;
  void stop_or_look_again(const std::shared_ptr<Stop>& stop);

  TempDir dir_;
  size_t lines_read_ = 0;

  model::Listener listener_;
  model::MeshSettings mesh_;
  std::map<std::string, model::Cluster> clusters_;

  SocketAddress address_;
  const pod::PodPtr pod_ = std::make_shared<pod::Pod>(config::ProxyIdentity{});
  connection::Limit limit_;
  std::shared_ptr<telemetry::AccessLog> log_ = std::make_shared<telemetry::AccessLog>();
  std::unique_ptr<event::Loop> loop_;
  std::unique_ptr<telemetry::WorkerTelemetry> telemetry_;
  std::unique_ptr<datapath::DataPath> data_path_;
  std::unique_ptr<upstream::Upstreams> upstreams_;
  std::unique_ptr<connection::Connections> connections_;
  std::unique_ptr<connection::Acceptor> acceptor_;
  std::shared_ptr<Stop> stop_;
  std::thread thread_;
};

}  // namespace sockmesh::test
