// What the VirtualServices say about the TCP and TLS ports of a service: filter chains with their routes
// (docs/istio.md#virtualservice, after istiod's buildSidecarOutboundTCPTLSFilterChainOpts). Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/text.h"
#include "config/compiler/proxy_view.h"

namespace sockmesh::config {

// The VirtualServices of one egress group, found by the host they are for.
class RouteTable {
 public:
  RouteTable(const std::vector<std::shared_ptr<const VirtualService>>& routes, const MeshConfig& mesh);
  // In order of precedence.
  std::vector<const VirtualService*> of(const std::string& host) const;

 private:
  std::vector<std::shared_ptr<const VirtualService>> routes_;
  std::unordered_map<std::string, std::vector<size_t>> exact_;
  std::vector<std::pair<std::string, size_t>> wildcard_;
  std::vector<std::pair<std::string, size_t>> all_;  // for hosts that are wildcards themselves
};

// The port of a service that chains are made for, and where it is dialled.
struct PortInView {
  const ServiceDef* def = nullptr;
  uint16_t listen_port = 0;
  Protocol protocol = Protocol::kAuto;
  std::optional<Prefix> block;  // the service's address is a CIDR block
  bool wildcard_bind = false;   // no address of its own: by SNI only, if it is TLS
};

// The chains of one service port, the most wanted first. Losing VirtualServices are added to `losers`.
std::vector<model::FilterChain> chains_for(const ProxyView& view, const RouteTable& routes,
                                           const PortInView& port, std::vector<model::Loser>& losers);

// A route to the destinations of an entry; `port` is what a destination without port means where its
// service has several. Null when all weights are zero, which Istio refuses to accept.
std::optional<model::Route> route_to(const ProxyView& view, const VirtualService& owner,
                                     const std::vector<RouteDestination>& destinations, uint16_t port,
                                     int line);

// A route to one cluster that no VirtualService made.
model::Route plain_route(Text cluster, model::OriginPtr origin);
model::FilterChain plain_chain(Text name, model::Route route);

// The name of the cluster a destination means, whether it exists or not.
std::string destination_cluster(const ProxyView& view, const Destination& destination, const std::string& ns,
                                uint16_t port);

}  // namespace sockmesh::config
