// Lane 3's decisions as plain values: what the maps of bpf/direct.bpf.c hold, without their layout. A table
// is a whole configuration of a pod; a change is what leads from one to the next. The filling step makes
// them, DirectMaps puts them into the kernel. Values, any thread.
//
// A connection is led by the first hit among: its exact address and port; the longest prefix for its port;
// the longest prefix for any port. No hit: the rules lead it to the proxy.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "intf/direct.h"

namespace sockmesh::bpf {

struct DirectVerdict {
  direct_verdict_kind kind = DIRECT_INTERCEPT;
  uint32_t route = 0;  // DIRECT_ROUTE
  int error = 0;       // DIRECT_REFUSE: see is_plain_refusal()
  auto operator<=>(const DirectVerdict&) const = default;
};

// What a connect() may be told. EINPROGRESS, EAGAIN and the like would make applications wait for a socket
// that never becomes ready.
bool is_plain_refusal(int error);

struct DirectPrefix {
  Prefix prefix;
  uint16_t port = 0;  // 0: any
  auto operator<=>(const DirectPrefix&) const = default;
};

struct DirectChoice {
  uint32_t cluster = 0;
  uint32_t weight = 1;
  auto operator<=>(const DirectChoice&) const = default;
};

struct DirectRoute {
  std::vector<DirectChoice> choices;  // 1 to DIRECT_MAX_CHOICES
  auto operator<=>(const DirectRoute&) const = default;
};

struct DirectHost {
  SocketAddress address;
  // Already scaled by all that user space knows: health, priority, locality, slow start. A host that gets
  // nothing is left out.
  uint32_t weight = 1;
  uint32_t live = DIRECT_NONE;  // its live record
  auto operator<=>(const DirectHost&) const = default;
};

struct DirectCluster {
  direct_balancing balancing = DIRECT_RANDOM;
  std::vector<DirectHost> hosts;  // none: ECONNREFUSED; DIRECT_ORIGINAL has none; at most DIRECT_MAX_HOSTS
  uint32_t start = 0;             // DIRECT_FIXED: index of the host; DIRECT_ROUND_ROBIN: the first turn
  std::optional<uint32_t> max_connections;
  std::chrono::milliseconds connect_timeout{};  // less than 2^32 ms; 0: the application's, or the kernel's
  bool refuse_when_full = false;                // ECONNREFUSED; else the proxy decides
  uint32_t live = DIRECT_NONE;                  // its live record; round robin and max_connections need one
  auto operator<=>(const DirectCluster&) const = default;
};

struct DirectTable {
  std::map<SocketAddress, DirectVerdict> destinations;
  std::map<DirectPrefix, DirectVerdict> prefixes;
  std::map<uint32_t, DirectRoute> routes;
  std::map<uint32_t, DirectCluster> clusters;
  bool operator==(const DirectTable&) const = default;
};

// Entries to be set, or with no value to be erased.
struct DirectChange {
  std::map<SocketAddress, std::optional<DirectVerdict>> destinations;
  std::map<DirectPrefix, std::optional<DirectVerdict>> prefixes;
  std::map<uint32_t, std::optional<DirectRoute>> routes;
  std::map<uint32_t, std::optional<DirectCluster>> clusters;
  bool empty() const;
};

// What makes `want` of `have`.
DirectChange difference(const DirectTable& have, const DirectTable& want);

// Whether the kernel's half can hold it; the error names the entry, the value and the bound.
Result<void> check(const DirectChange& change);

// The kernel's form of each, on a side; the other direction is for what an earlier process left.
direct_address to_kernel(const SocketAddress& address);
direct_destination to_kernel(const SocketAddress& address, uint32_t side);
direct_prefix to_kernel(const DirectPrefix& prefix, uint32_t side);
direct_verdict to_kernel(const DirectVerdict& verdict);
direct_route to_kernel(const DirectRoute& route);
direct_cluster to_kernel(const DirectCluster& cluster);
std::vector<direct_host> hosts_to_kernel(const DirectCluster& cluster);

SocketAddress from_kernel(const direct_address& address);
SocketAddress from_kernel(const direct_destination& destination);
DirectPrefix from_kernel(const direct_prefix& prefix);
DirectVerdict from_kernel(const direct_verdict& verdict);
DirectRoute from_kernel(const direct_route& route);
DirectCluster from_kernel(const direct_cluster& cluster, const std::vector<direct_host>& hosts);

// The step of round robin through `total` weights: no divisor in common with it, and about 0.38 of it, so
// that the turns of a host are spread (intf/direct.h). 1 where hosts have equal weights.
uint32_t round_robin_stride(uint32_t total);

}  // namespace sockmesh::bpf
