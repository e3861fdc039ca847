#include "model/snapshot.h"

#include <utility>

namespace sockmesh::model {

namespace {

FilterChain egress_refusal(const EgressPolicy& policy) {
  FilterChain chain;
  chain.name = "egress-blocked";
  chain.route.clusters = {{kBlackHoleCluster, 0}};
  chain.route.stat_prefix = kBlackHoleCluster;
  chain.route.origin = chain.origin = policy.origin ? policy.origin : builtin_origin();
  return chain;
}

}  // namespace

std::string to_string(const EndpointAddress& address) {
  struct {
    std::string operator()(const SocketAddress& a) const { return a.to_string(); }
    std::string operator()(const HostName& a) const { return a.name + ":" + std::to_string(a.port); }
    std::string operator()(const UnixPath& a) const { return "unix://" + a.path; }
  } text;
  return std::visit(text, address);
}

std::string_view to_string(ClusterType type) {
  switch (type) {
    case ClusterType::kEds:
      return "EDS";
    case ClusterType::kStatic:
      return "STATIC";
    case ClusterType::kStrictDns:
      return "STRICT_DNS";
    case ClusterType::kLogicalDns:
      return "LOGICAL_DNS";
    case ClusterType::kOriginalDst:
      return "ORIGINAL_DST";
  }
  return "";
}

std::string_view to_string(LbPolicy policy) {
  switch (policy) {
    case LbPolicy::kLeastRequest:
      return "LEAST_REQUEST";
    case LbPolicy::kRoundRobin:
      return "ROUND_ROBIN";
    case LbPolicy::kRandom:
      return "RANDOM";
    case LbPolicy::kRingHash:
      return "RING_HASH";
    case LbPolicy::kMaglev:
      return "MAGLEV";
    case LbPolicy::kClusterProvided:
      return "CLUSTER_PROVIDED";
  }
  return "";
}

bool FilterChainMatch::match_all() const {
  return !destination_port && prefix_ranges.empty() && server_names.empty() &&
         transport == TransportProtocol::kAny && application_protocols.empty();
}

bool Listener::single_answer() const {
  return chains.empty() || (chains.size() == 1 && chains.front().match.match_all());
}

void Snapshot::index() {
  by_address.clear();
  // Of listeners that were there before, in the snapshot this one is a copy of.
  const auto known = std::exchange(chain_indexes, {});
  virtual_outbound = virtual_inbound = nullptr;
  by_address.reserve(listeners.size());
  for (const ListenerPtr& listener : listeners) {
    if (!listener->single_answer()) {
      const auto same = known.find(listener.get());
      chain_indexes.emplace(listener.get(), same != known.end()
                                                ? same->second
                                                : std::make_shared<const ChainIndex>(listener->chains));
    }
    if (listener->name == kVirtualOutbound) {
      virtual_outbound = listener.get();
    } else if (listener->name == kVirtualInbound) {
      virtual_inbound = listener.get();
    } else if (!listener->bind_to_port && listener->direction == Direction::kOutbound) {
      for (const SocketAddress& address : listener->addresses) by_address.emplace(address, listener.get());
    }
  }
  egress_refused.reset();
  if (egress.block_all || !egress.block.empty()) egress_refused = egress_refusal(egress);
}

const Cluster* Snapshot::find_cluster(const Text& name) const {
  const auto it = clusters.find(name);
  return it == clusters.end() ? nullptr : it->second.get();
}

WorkloadPtr Snapshot::find_workload(const IpAddress& ip) const {
  const auto it = workloads->find(ip);
  return it == workloads->end() ? nullptr : it->second;
}

}  // namespace sockmesh::model
