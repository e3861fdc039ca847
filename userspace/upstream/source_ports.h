// SourcePorts: the port from which a connection is dialled that stands for a client's (TPROXY: bound to the
// client's address, so that the application sees it).
//
// The kernel's choice will not do. The application's end of such a connection has the very addresses and
// ports that a connection of the client to the same port has at the agent's end, both in the pod's namespace,
// and there the one and the other cannot be told apart:
//
//   client ──── C:p ─▶ S:port  agent ──── C:q ─▶ S:port  application        p == q of two connections:
//
//   * the agent dials from a port that the client is using: its SYN meets the agent's own accepted socket;
//   * the client dials from a port that the agent is using: its SYN meets the application's accepted socket.
//
// Either SYN gets a challenge ACK that goes astray, and is repeated in vain until the other connection ends.
// Where both pods share a kernel it happens all the time: Linux takes ephemeral ports for (C, S, port) one
// after the other from one place (net/ipv4/inet_hashtables.c, table_perturb), for the client and for the
// agent.
//
// So the agent keeps to ports that no client takes by itself: Linux's ephemeral ports begin at 32768, those
// of other systems at 49152. Of a client that was seen to come from below (net.ipv4.ip_local_port_range
// widened), the far half of the part where it was not seen is left; of one that uses all ports, those just
// behind its latest one, which Linux, going upwards, takes last. The caller also leaves out pairs that it
// knows to be in use.
//
// Ports below 1024 are never taken: to some services they mean that root is calling. Thus 31,744 connections
// from one client address to one address and port can stand (or rest in TIME_WAIT) at a time; what is beyond
// that fails (UF, "no free source port").
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>

#include "base/address.h"
#include "base/mutex.h"

namespace sockmesh::upstream {

struct PortRange {
  uint16_t first = 0, last = 0;  // both included
  uint32_t size() const { return last - first + 1u; }
  auto operator<=>(const PortRange&) const = default;
};

// What no client takes by itself.
inline constexpr PortRange kQuietPorts{1024, 32767};
// A part of it that is smaller than this is not worth keeping to.
inline constexpr uint32_t kFewestPorts = 1024;

// Where to dial from for a client; `seen`: the span of kQuietPorts from which it came itself, if it did.
// None: it uses them all. Pure.
std::optional<PortRange> ports_beside(const std::optional<PortRange>& seen);

// The `count`-th port, from 0, of those behind `port`, downwards, around through 65535 and never below 1024.
// Pure.
uint16_t port_behind(uint16_t port, uint32_t count);

// Any thread.
class SourcePorts {
 public:
  // Clients remembered that come from kQuietPorts; the one that was heard of longest ago is forgotten.
  static constexpr size_t kMaxClients = 1024;

  explicit SourcePorts(uint32_t seed) : next_(seed) {}

  // A client's connection came from here.
  void seen(const SocketAddress& client);
  // The port to try for it; `tries`: how many were tried for this connection already.
  uint16_t choose(const SocketAddress& client, uint32_t tries);

 private:
  struct Client {
    PortRange range;
    uint64_t heard = 0;  // when, on a clock of seen() calls
  };
  std::optional<PortRange> range_of(const IpAddress& client) const;

  std::atomic<uint32_t> next_;         // ports go round, so that one rests as long as possible
  std::atomic<size_t> remembered_{0};  // clients_.size(), so that most callers need no lock
  mutable Mutex mutex_;
  std::map<IpAddress, Client> clients_ SOCKMESH_GUARDED_BY(mutex_);
  uint64_t clock_ SOCKMESH_GUARDED_BY(mutex_) = 0;
};

}  // namespace sockmesh::upstream
