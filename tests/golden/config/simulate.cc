#include "simulate.h"

#include <algorithm>

namespace sockmesh::config {

namespace {

std::string upstream_text(const model::EndpointAddress& address) {
  // Names resolve to the addresses of a fake resolver.
  if (const auto* name = std::get_if<model::HostName>(&address))
    return "198.18.*:" + std::to_string(name->port);
  return to_string(address);
}

// The healthy hosts of the best priority that has any.
std::vector<const model::Endpoint*> selectable(const model::Cluster& cluster) {
  std::vector<const model::Endpoint*> hosts;
  for (const model::Endpoint& endpoint : cluster.endpoints) {
    if (endpoint.health != model::Health::kHealthy || endpoint.weight == 0) continue;
    if (!hosts.empty() && endpoint.priority > hosts.front()->priority) continue;
    if (!hosts.empty() && endpoint.priority < hosts.front()->priority) hosts.clear();
    hosts.push_back(&endpoint);
  }
  return hosts;
}

}  // namespace

std::vector<Ending> Simulation::endings_of(const model::Cluster& cluster,
                                           const SocketAddress& dialled) const {
  std::vector<Ending> endings;
  const auto add = [&](const model::EndpointAddress& address, double share) {
    const auto* at = std::get_if<SocketAddress>(&address);
    const bool refuses = at && mesh_.refusing.contains(at->ip);
    endings.push_back({cluster.name, refuses ? "UF,URX" : "-", upstream_text(address), share});
  };
  if (cluster.type == model::ClusterType::kOriginalDst) {
    add(SocketAddress{dialled.ip, cluster.original_dst_port.value_or(dialled.port)}, 1);
    return endings;
  }
  const auto hosts = selectable(cluster);
  const auto share_of = [&](const model::Endpoint& host) {
    double weight = host.weight;
    if (cluster.locality_weights.empty()) return weight;
    double place = 0, of_place = 0;
    for (const auto& one : cluster.locality_weights)
      if (host.locality && one.to == *host.locality) place = one.weight;
    for (const auto* other : hosts)
      if (host.locality && other->locality && *other->locality == *host.locality) of_place += other->weight;
    return of_place > 0 ? place * weight / of_place : 0;
  };
  double sum = 0;
  for (const auto* host : hosts) sum += share_of(*host);
  if (hosts.empty() || sum <= 0) return {{cluster.name, "UH", "-", 1}};
  for (const auto* host : hosts) add(host->address, share_of(*host) / sum);
  return endings;
}

Fate Simulation::play(const Probe& probe) {
  Fate fate;
  model::ConnectionInfo connection;
  connection.destination = probe.address;
  connection.hello = probe.hello;
  if (probe.inbound) connection.direction = model::Direction::kInbound;
  if (mesh_.proxy.role == Role::kGateway) {
    for (const auto& listener : snapshot_.listeners)
      if (listener->bind_to_port &&
          std::any_of(listener->addresses.begin(), listener->addresses.end(), [&](const auto& at) {
            return at.port == probe.address.port && (at.ip.is_any() || at.ip == probe.address.ip);
          }))
        connection.bound = listener.get();
    connection.direction = model::Direction::kOutbound;
    if (!connection.bound) fate.client = "refused";
  } else if (!probe.inbound && probe.address.ip.is_loopback()) {
    fate.client = "refused";  // never captured
  }
  if (!fate.client.empty()) return fate;

  fate.decision = match(snapshot_, connection);
  if (fate.decision.needs_inspection) {
    fate.client = "silent";
    return fate;
  }
  if (!fate.decision.chain) {
    fate.endings.push_back({"-", "NR", "-", 1});
    return fate;
  }
  const model::Route& route = fate.decision.chain->route;
  double sum = 0;
  for (const auto& part : route.clusters) sum += part.weight;
  for (const auto& part : route.clusters) {
    const double share = route.clusters.size() == 1 ? 1 : part.weight / sum;
    if (share == 0) continue;
    const model::Cluster* cluster = snapshot_.find_cluster(part.cluster);
    if (!cluster) {
      fate.endings.push_back({"-", "NC", "-", share});
      continue;
    }
    if (cluster->max_connections && open_[cluster->name] >= *cluster->max_connections) {
      fate.endings.push_back({cluster->name, "UO", "-", share});
      continue;
    }
    for (Ending ending : endings_of(*cluster, probe.address)) {
      ending.share *= share;
      fate.endings.push_back(std::move(ending));
    }
    if (probe.hold) ++open_[cluster->name];
  }
  return fate;
}

}  // namespace sockmesh::config
