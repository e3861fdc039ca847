// Dial: gets one connection to a cluster: takes a place under its connection limit, picks a host, connects
// with a deadline, reports the outcome to outlier detection, and tries another host when one fails. Envoy as
// configured by Istio makes a single attempt; up to three, each at a different host, is ours, on by default,
// safe because nothing of the client was read yet, and visible in the log as the number of attempts. When all
// fail the flags are Envoy's (UF,URX).
//
// Under TPROXY, where it stands for the client, it picks the source port itself (source_ports.h): the next
// one when one is taken, and another one when nobody answers, which over `lo` means that the SYN met somebody
// else's connection, or that the application's backlog is full, and then nothing is lost by asking again.
// Lives in its worker's thread; destroying it ends the attempt without a call.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "event/watched_fd.h"
#include "model/flags.h"
#include "model/snapshot.h"
#include "upstream/connector.h"
#include "upstream/upstreams.h"

namespace sockmesh::upstream {

inline constexpr uint32_t kMaxConnectAttempts = 3;
// Source ports tried for one connection before "no free source port".
inline constexpr uint32_t kMaxSourcePortTries = 256;
// Before the kernel itself repeats a SYN (1 s).
inline constexpr Duration kSilence = std::chrono::milliseconds(500);
// How often to dial from another port for want of an answer.
inline constexpr uint32_t kMaxSilences = 4;

struct DialRequest {
  model::ClusterPtr cluster;
  std::optional<SocketAddress> original_destination;  // absent where nobody redirected (gateways)
  SocketAddress client;
  bool hash_source_ip = false;
  OwnDials::Passes passes;          // of the client's connection through this agent; null: not known
  bool keep_client_source = false;  // TPROXY inbound: the application is to see the client's address
};

struct DialOutcome {
  Fd socket;                           // none: it failed, `flags` say how
  std::optional<SocketAddress> local;  // our side of it
  OwnDials::Entry own;                 // as long as the connection stands
  Lease lease;
  std::optional<model::EndpointAddress> host;  // the last one tried
  model::WorkloadPtr workload;                 // behind it, may be null
  model::ResponseFlags flags;
  std::string transport_failure;
  uint32_t attempts = 0;
};

// Where the connection is bound before connecting: the cluster's own wish, or the client's address (its port
// 0, to be filled in).
ConnectOptions connect_options(const DialRequest& request, const model::EndpointAddress& to);

class Dial {
 public:
  Dial(Upstreams& upstreams, DialRequest request, std::function<void(DialOutcome)> done);
  ~Dial();
  // May call `done` before it returns. `done` is called once and may destroy this.
  void start();

 private:
  void attempt();
  void connect_to(const model::EndpointAddress& to);
  Result<Connecting> open(const model::EndpointAddress& to);
  Result<Connecting> open_as_client(const SocketAddress& to, ConnectOptions options);
  bool dial_from_another_port();
  void note_own(const model::EndpointAddress& to);
  void writable();
  void timed_out();
  void attempt_failed(std::string text);
  void report(bool connected);
  void finish();
  void fail_with(model::ResponseFlag flag);

  Upstreams& upstreams_;
  const DialRequest request_;
  std::function<void(DialOutcome)> done_;
  const ClusterStatePtr state_;

  DialOutcome outcome_;
  std::vector<model::EndpointAddress> tried_;
  event::WatchedFd socket_;
  std::unique_ptr<event::Timer> timer_;
  MonotonicTime deadline_{};  // of the connect under way
  uint32_t port_tries_ = 0, silences_ = 0;
  Upstreams::Waiting waiting_;
};

}  // namespace sockmesh::upstream
