// Binds: which addresses the configuration wants really bound (gateways, captureMode NONE), and what has to
// change when another configuration comes. Pure: have and want in, additions and removals out; a listener
// that stays keeps its sockets, and no open connection is touched either way.
#pragma once

#include <compare>
#include <string>
#include <vector>

#include "base/address.h"
#include "model/snapshot.h"

namespace sockmesh::server {

struct Bind {
  SocketAddress address;
  std::string listener;  // its name
  model::Direction direction = model::Direction::kOutbound;
  auto operator<=>(const Bind&) const = default;
};

// Sorted; of two listeners that want one address the first by name has it.
std::vector<Bind> wanted_binds(const model::Snapshot& snapshot);

struct BindChanges {
  std::vector<Bind> add, remove;
};
BindChanges bind_changes(const std::vector<Bind>& have, const std::vector<Bind>& want);  // both sorted

}  // namespace sockmesh::server
