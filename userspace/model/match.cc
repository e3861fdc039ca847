#include "model/match.h"

#include <algorithm>

namespace sockmesh::model {

namespace {

const Listener* captured_by(const Snapshot& snapshot, const ConnectionInfo& connection) {
  if (connection.direction == Direction::kInbound) return snapshot.virtual_inbound;
  const SocketAddress& to = connection.destination;
  if (const auto it = snapshot.by_address.find(to); it != snapshot.by_address.end()) return it->second;
  const SocketAddress wildcard{IpAddress::any(to.ip.is_v6()), to.port};
  if (const auto it = snapshot.by_address.find(wildcard); it != snapshot.by_address.end()) return it->second;
  return snapshot.virtual_outbound;
}

bool refused(const EgressPolicy& egress, const IpAddress& ip) {
  const auto holds = [&](const std::vector<Prefix>& list) {
    return std::any_of(list.begin(), list.end(), [&](const Prefix& prefix) { return prefix.contains(ip); });
  };
  if (holds(egress.permit)) return false;
  return egress.block_all || holds(egress.block);
}

bool leaves_the_mesh(const FilterChain& chain) {
  return chain.route.clusters.size() == 1 && chain.route.clusters.front().cluster == kPassthroughCluster;
}

}  // namespace

Decision match(const Snapshot& snapshot, const ConnectionInfo& connection) {
  Decision decision;
  decision.listener = connection.bound ? connection.bound : captured_by(snapshot, connection);
  if (!decision.listener) return decision;
  const Listener& listener = *decision.listener;

  if (listener.single_answer()) {
    if (!listener.chains.empty()) decision.chain = &listener.chains.front();
  } else if (const auto it = snapshot.chain_indexes.find(&listener); it != snapshot.chain_indexes.end()) {
    const auto answer =
        it->second->find(connection.destination, connection.hello ? &*connection.hello : nullptr);
    decision.needs_inspection = answer.needs_bytes;
    if (answer.needs_bytes) return decision;
    decision.chain = answer.chain;
  }
  if (!decision.chain && listener.default_chain) decision.chain = &*listener.default_chain;

  if (snapshot.egress_refused && decision.chain && connection.direction == Direction::kOutbound &&
      leaves_the_mesh(*decision.chain) && refused(snapshot.egress, connection.destination.ip)) {
    decision.chain = &*snapshot.egress_refused;
    decision.egress_blocked = true;
  }
  return decision;
}

const WeightedCluster& draw(const Route& route, uint64_t random) {
  if (route.clusters.size() == 1) return route.clusters.front();
  uint64_t sum = 0;
  for (const WeightedCluster& part : route.clusters) sum += part.weight;
  if (sum == 0) return route.clusters.front();
  // The high half of a 128-bit product maps the whole range evenly, where a remainder would favour low
  // values.
  __extension__ using Wide = unsigned __int128;
  auto at = static_cast<uint64_t>(static_cast<Wide>(random) * sum >> 64);
  for (const WeightedCluster& part : route.clusters) {
    if (at < part.weight) return part;
    at -= part.weight;
  }
  return route.clusters.back();
}

}  // namespace sockmesh::model
