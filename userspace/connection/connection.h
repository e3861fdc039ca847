// Connection: the life of one connection, from accept to close.
//
//   accepted ── held until there is a configuration
//      │  original destination, loop guard
//      ├─ PROXY header in        only where the listener expects one
//   routed ── match()            pure; asks for the first bytes only when the answer depends on them
//      ├─ inspecting             peeks the TLS hello, takes nothing
//   connecting ── Dial           picks a host, connects, tries another one on failure
//   relaying ── Relay            owns both sockets from here on
//   closed                       ConnectionScope writes the one log line
//
// Nothing of the client's stream is read before the upstream stands; a PROXY header in front of it is. Each
// failure ends in finish() with Envoy's flag; closing a socket with unread bytes then makes Linux send RST,
// else FIN, which is what Envoy's clients see. Until then both sockets are set to send RST when they are
// closed, since the process may die. Worker thread only.
#pragma once

#include <memory>
#include <optional>

#include "connection/connections.h"
#include "connection/peek.h"
#include "datapath/relay.h"
#include "event/watched_fd.h"
#include "model/match.h"
#include "telemetry/connection_scope.h"
#include "upstream/dial.h"

namespace sockmesh::connection {

class Connection {
 public:
  Connection(Connections& connections, Accepted accepted);
  ~Connection();

  // Each of these may end the connection; it then stays in memory until the loop's next turn.
  void start();
  void route();  // again with the first snapshot, when it was held
  void reset();  // RST to both sides

  uint64_t id() const { return id_; }

 private:
  void read_proxy_header(const model::Listener& listener);
  void take_proxy_header(PeekEnd end);
  void decide();
  void inspect();
  void connect(const model::Decision& decision);
  void connected(upstream::DialOutcome outcome);
  void relay(Fd upstream);
  void relayed(const datapath::Outcome& outcome);

  // Ends it: without a flag for what is nobody's fault, else with `flag`.
  enum class Close : uint8_t { kAsItIs, kReset };  // kAsItIs: FIN, or RST when bytes were left unread
  void finish(std::optional<model::ResponseFlag> flag, const char* reason, Close close = Close::kAsItIs);
  telemetry::ConnectionRecord& record() { return scope_.record(); }

  Connections& connections_;
  const uint64_t id_;
  const std::shared_ptr<const Entry> entry_;
  const bool within_limit_;
  // Watched by peek_, and while connecting, to notice that the client is gone.
  event::WatchedFd downstream_;
  bool redirected_ = false;

  // What was decided; chain_ and cluster_ point into snapshot_.
  model::SnapshotPtr snapshot_;
  std::optional<model::TlsHello> hello_;
  const model::FilterChain* chain_ = nullptr;
  model::ClusterPtr cluster_;

  std::unique_ptr<Peek> peek_;
  std::unique_ptr<upstream::Dial> dial_;
  upstream::Lease lease_;
  upstream::OwnDials::Entry own_accept_, own_dial_;
  bool ended_ = false;

  telemetry::ConnectionScope scope_;
  std::unique_ptr<datapath::Relay> relay_;  // after scope_: goes first
};

}  // namespace sockmesh::connection
