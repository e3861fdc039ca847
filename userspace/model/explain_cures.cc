#include "model/explain_cures.h"

#include <fmt/format.h>

#include <algorithm>

namespace sockmesh::model {

namespace {

// "Service app-ext.app": as Istio's own messages name objects.
std::string short_name(const Origin& object) {
  return object.ns.empty() ? fmt::format("{} {}", object.kind, object.name)
                           : fmt::format("{} {}.{}", object.kind, object.name, object.ns);
}

bool goes_to(const Explanation& explanation, const char* cluster) {
  return explanation.clusters.size() == 1 && explanation.clusters.front().name == cluster;
}

void cure_taken_port(const Snapshot& snapshot, const Decision& decision, const Explanation& explanation,
                     std::vector<std::string>& cures) {
  const uint16_t port = explanation.connection.destination.port;
  const Cluster* cluster =
      explanation.clusters.empty() ? nullptr : explanation.clusters.front().cluster.get();
  const OriginPtr& owner = cluster && cluster->origin ? cluster->origin : decision.listener->origin;
  if (!owner) return;
  const std::string who = short_name(*owner);
  const bool external_name = owner->kind == "Service" && cluster && cluster->type == ClusterType::kStrictDns;
  cures.push_back(
      fmt::format("drop port {} from {}: it has no address of its own, so it takes the port on "
                  "every address nobody else has",
                  port, who));
  if (owner->kind == "ServiceEntry") {
    cures.push_back(
        fmt::format("give {} addresses (spec.addresses): then it takes the port there only", who));
    cures.push_back(fmt::format("hide it from here: exportTo [\".\"] in {}", who));
  } else {
    if (external_name)
      cures.push_back(
          fmt::format("replace the ExternalName {} by a VirtualService that leads to where it "
                      "points: no listener is made for one",
                      who));
    cures.push_back(
        fmt::format("hide it from here: annotate {} with networking.istio.io/exportTo: \".\"", who));
  }
  cures.push_back(
      fmt::format("leave it out for this workload: a Sidecar in namespace {} whose egress hosts do "
                  "not include {}/*",
                  snapshot.self.ns.empty() ? "of the pod" : snapshot.self.ns, owner->ns));
  cures.push_back(fmt::format("use a port other than {} for one of the two", port));
  cures.push_back("let the clients use TLS with a server name: tls routes tell services on one port apart");
}

void cure_black_hole(const Decision& decision, const Explanation& explanation,
                     std::vector<std::string>& cures) {
  const std::string to = explanation.connection.destination.to_string();
  if (decision.egress_blocked) {
    cures.push_back(fmt::format("permit {}: an entry of the permit list wins over every block",
                                explanation.connection.destination.ip.to_string()));
    return;
  }
  if (decision.chain && !decision.chain->log) return;  // the proxy's own port
  const OriginPtr& origin = decision.chain ? decision.chain->origin : nullptr;
  if (!origin || origin->kind == "builtin") return;
  cures.push_back(fmt::format("declare {} with a ServiceEntry: {} lets only what is registered pass", to,
                              origin->to_string()));
  cures.push_back("or set outboundTrafficPolicy.mode to ALLOW_ANY");
}

void cure_unknown(const Snapshot& snapshot, const Explanation& explanation, std::vector<std::string>& cures) {
  const SocketAddress& to = explanation.connection.destination;
  for (const Loser& loser : explanation.losers)
    if (loser.at && loser.at == to)
      cures.push_back(fmt::format("{} has this address, but {}", short_name(*loser.object), loser.reason));
  std::vector<std::string> ports;
  OriginPtr owner;
  if (explanation.listener != kVirtualOutbound) return;
  for (const ListenerPtr& listener : snapshot.listeners)
    for (const SocketAddress& address : listener->addresses)
      if (address.ip == to.ip && listener->direction == Direction::kOutbound && !listener->bind_to_port) {
        ports.push_back(std::to_string(address.port));
        owner = listener->origin;
      }
  if (owner && !ports.empty()) {
    std::sort(ports.begin(), ports.end());
    ports.resize(std::min<size_t>(ports.size(), 8));
    cures.push_back(fmt::format("{} has {}, on port {}: add port {} to it if that is what was meant",
                                short_name(*owner), to.ip.to_string(), fmt::join(ports, ", "), to.port));
  }
}

void cure_cluster(const Explanation::ClusterPart& part, std::vector<std::string>& cures) {
  if (!part.cluster) {
    // outbound|port|subset|host
    const size_t host = part.name.rfind('|');
    const size_t subset = host == std::string::npos ? host : part.name.rfind('|', host - 1);
    if (subset == std::string::npos) return;
    const std::string name = part.name.substr(subset + 1, host - subset - 1);
    if (!name.empty())
      cures.push_back(
          fmt::format("define subset {} of {} in a DestinationRule that applies here, or route to "
                      "one that exists",
                      name, part.name.substr(host + 1)));
    cures.push_back(
        fmt::format("check that {} exists, has this port and is visible here (short names are of "
                    "the VirtualService's namespace)",
                    part.name.substr(host + 1)));
    return;
  }
  const Cluster& cluster = *part.cluster;
  if (cluster.type == ClusterType::kOriginalDst || cluster.name == kBlackHoleCluster) return;
  const auto healthy = std::count_if(cluster.endpoints.begin(), cluster.endpoints.end(),
                                     [](const auto& one) { return one.health == Health::kHealthy; });
  if (healthy > 0) return;
  const std::string who = cluster.origin ? short_name(*cluster.origin) : cluster.service_host.str();
  if (cluster.endpoints.empty()) {
    cures.push_back(cluster.subset.empty()
                        ? fmt::format("nothing stands behind {}: check its selector, its endpoints and the "
                                      "targetPort's name",
                                      who)
                        : fmt::format("no pod of {} has the labels of subset {}", who, cluster.subset));
  } else {
    cures.push_back(fmt::format("none of the {} endpoints of {} is ready", cluster.endpoints.size(), who));
  }
}

}  // namespace

bool taken_by_port_alone(const Decision& decision) {
  if (!decision.listener || !decision.chain || decision.listener->bind_to_port) return false;
  if (decision.listener->name == kVirtualOutbound || decision.listener->name == kVirtualInbound) return false;
  return !decision.listener->addresses.empty() && decision.listener->addresses.front().ip.is_any() &&
         decision.chain->match.prefix_ranges.empty() && decision.chain->match.server_names.empty() &&
         decision.chain->name != "PassthroughFilterChain";
}

std::vector<std::string> find_cures(const Snapshot& snapshot, const Decision& decision,
                                    const Explanation& explanation) {
  std::vector<std::string> cures;
  const Cluster* first = explanation.clusters.empty() ? nullptr : explanation.clusters.front().cluster.get();
  const bool moved = !first || first->type != ClusterType::kOriginalDst;  // else it arrives where it was sent
  if (moved && taken_by_port_alone(decision)) cure_taken_port(snapshot, decision, explanation, cures);
  if (goes_to(explanation, kPassthroughCluster) || goes_to(explanation, kBlackHoleCluster))
    cure_unknown(snapshot, explanation, cures);
  if (goes_to(explanation, kBlackHoleCluster)) cure_black_hole(decision, explanation, cures);
  for (const auto& part : explanation.clusters) cure_cluster(part, cures);
  // The parts of a weighted route may be cured alike.
  std::vector<std::string> once;
  for (std::string& cure : cures)
    if (std::find(once.begin(), once.end(), cure) == once.end()) once.push_back(std::move(cure));
  return once;
}

}  // namespace sockmesh::model
