// Destinations: where a connect() may go, as a table that is asked without the configuration: addresses with
// their port, and prefixes for one port or for all. It is not a second match(): an entry stands for a region
// of destinations that match() cannot tell apart, and match() was asked at one of them. Values, any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>

#include "base/address.h"
#include "base/flat_map.h"
#include "direct/route_numbers.h"
#include "model/direct.h"

namespace sockmesh::direct {

struct Verdict {
  std::optional<model::NotDirect> intercept;  // absent: by the route
  uint32_t route = 0;
  bool operator==(const Verdict&) const = default;
};

struct PortPrefix {
  uint16_t port = 0;  // 0: every port
  Prefix prefix;
  auto operator<=>(const PortPrefix&) const = default;
};

struct Destinations {
  FlatMap<SocketAddress, Verdict> exact;
  std::map<PortPrefix, Verdict> prefixes;
};

// Makes `table`, which is of `before`, that of `after`. Without `before` it is made anew, and as well when
// something changed that can concern every destination; else only what listeners that came, went or changed
// have a part in is asked again, and all prefixes. `routes` gives the numbers, in a round that is begun here.
void update(Destinations& table, const model::Snapshot* before, const model::Snapshot& after,
            const model::DirectTerms& terms, RouteNumbers& routes);

// As the kernel asks: the exact address; the longest prefix of the port; the longest prefix of every port.
// No hit: it is not captured, or nothing is known, and the connection is left to the rules.
Verdict lookup(const Destinations& destinations, const SocketAddress& destination);

}  // namespace sockmesh::direct
