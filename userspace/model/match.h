// Which listener, filter chain and route take a connection: Envoy's lookup
// (docs/istio.md#how-a-connection-finds-its-listener), as pure functions over one Snapshot. Thread-safe
// (nothing is kept); below 300 ns for an address match.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/flags.h"
#include "model/snapshot.h"

namespace sockmesh::model {

// What the first bytes said, once they were peeked.
struct TlsHello {
  bool is_tls = false;
  std::string server_name;                         // lower case, "" when absent
  std::vector<std::string> application_protocols;  // ALPN, in the client's order
};

struct ConnectionInfo {
  Direction direction = Direction::kOutbound;
  SocketAddress destination;  // original destination
  SocketAddress source;       // the client
  // The really bound listener that accepted it (gateways); null for captured connections.
  const Listener* bound = nullptr;
  std::optional<TlsHello> hello;  // absent: not inspected (yet)
};

struct Decision {
  const Listener* listener = nullptr;
  const FilterChain* chain = nullptr;  // null: NR, filter_chain_not_found
  // The chain depends on bytes that were not peeked yet: peek, then ask again with `hello`. Never set when a
  // plain route would be the answer whatever the bytes are, so server-first protocols do not wait.
  bool needs_inspection = false;
  // Set when the egress lists refused the destination; the chain is then one to BlackHoleCluster.
  bool egress_blocked = false;
};

Decision match(const Snapshot& snapshot, const ConnectionInfo& connection);

// Draws one cluster of a weighted route. `random` is uniform over all of uint64_t: the caller owns the
// generator.
const WeightedCluster& draw(const Route& route, uint64_t random);

}  // namespace sockmesh::model
