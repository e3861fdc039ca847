// A pod in which lane 3 is tried: a network namespace, a cgroup, the programs attached to it. The test itself
// lives in the pod: its main thread is in the namespace, its process in the cgroup, so the sockets that it
// makes are the application's. Addresses, all on loopback's interface:
//
//   10.1.0.1 to .4, fd01::1 to ::4    endpoints
//   10.96.0.0/16, fd96::/16           services: routed nowhere, so connect() to what is left alone is ENETUNREACH
//
// All is gone with the objects, and what killed test processes left is removed by the next. Not thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/fd.h"
#include "bpf/direct_events.h"
#include "bpf/direct_maps.h"
#include "test_support/cgroup.h"
#include "test_support/netns.h"

namespace sockmesh::test {

SocketAddress endpoint(int number, uint16_t port, bool ipv6 = false);  // 1 to 4
SocketAddress service(int number, uint16_t port, bool ipv6 = false);   // 1 to 255

// The namespace, with this thread in it until the object goes.
class PodNamespace {
 public:
  PodNamespace();
  PodNamespace(const PodNamespace&) = delete;
  PodNamespace& operator=(const PodNamespace&) = delete;
  ~PodNamespace();
  const Netns& netns() const { return netns_; }

 private:
  Netns netns_{"pod"};
  Fd home_;
};

class DirectPod {
 public:
  explicit DirectPod(bpf::DirectMaps::Options options = {});

  const Netns& netns() const { return namespace_.netns(); }
  void add_hole() const;  // endpoint 9 is on a link at whose other end nobody is
  bpf::DirectMaps& maps() { return *maps_; }
  const Cgroup& cgroup() const { return cgroup_; }

  // Adds route and cluster `number` (1 ...) with these endpoints behind an address, and puts it in force. The
  // cluster's live record is 100 * number, its hosts' are the next ones. `shape` changes the cluster first.
  void serve(const SocketAddress& address, uint32_t number, const std::vector<SocketAddress>& endpoints,
             const std::function<void(bpf::DirectCluster&)>& shape = {});
  void refuse(const SocketAddress& address, int error);
  bpf::DirectTable table;  // wanted
  void apply();            // makes it so
  uint64_t generation() const { return generation_; }

  uint64_t count(direct_count what) const { return maps_->count(what); }
  int32_t open(uint32_t live) const { return maps_->live(live).open; }
  int32_t all_open() const;  // over all live records

  std::vector<direct_record> open_flows() const { return maps_->open_flows().value(); }

  // All events since the start, the newest ones taken in first.
  const std::vector<direct_record>& records();
  // Waits for the event, of the socket with this cookie.
  direct_record event(direct_record_kind kind, uint64_t cookie);
  int losses() const { return losses_; }

 private:
  Cgroup cgroup_;
  PodNamespace namespace_;
  std::unique_ptr<bpf::DirectMaps> maps_;
  std::unique_ptr<bpf::DirectEvents> events_;
  bpf::DirectTable in_force_;
  uint64_t generation_ = 0;
  std::vector<direct_record> records_;
  int losses_ = 0;
};

// --- Sockets ---------------------------------------------------------------------------------------------

Fd tcp(bool ipv6 = false, bool blocking = true);
Fd listen_at(const SocketAddress& address, int backlog = 64);
Fd accept_from(const Fd& listener);  // waits
// 0 or errno. An IPv4 address is given as a mapped one to an AF_INET6 socket.
int connect_to(const Fd& socket, const SocketAddress& address);
int bind_to(const Fd& socket, const SocketAddress& address);
int disconnect(const Fd& socket);  // connect() with AF_UNSPEC
SocketAddress peer_of(const Fd& socket);
SocketAddress local_of(const Fd& socket);
int option_of(const Fd& socket, int level, int name);
void set_option(const Fd& socket, int level, int name, int value);
uint32_t mark_of(const Fd& socket);
uint64_t cookie_of(const Fd& socket);
void reset_on_close(const Fd& socket);
void send_all(const Fd& socket, size_t bytes);
size_t receive(const Fd& socket, size_t most);  // so many, or less at the end of the stream or an error
void receive_end(const Fd& socket);             // requires the end of the stream

}  // namespace sockmesh::test
