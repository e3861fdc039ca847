#include "config/compiler/inbound.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/compiler/clusters.h"
#include "config/compiler/listener_draft.h"
#include "config/compiler/routes.h"
#include "config/registry/endpoints.h"

namespace sockmesh::config {

namespace {

using model::Cluster;
using model::ClusterType;
using model::FilterChain;

// One port of the own pod that somebody declared.
struct OwnPort {
  uint16_t number = 0;  // where the application listens
  Protocol protocol = Protocol::kAuto;
  const ServiceDef* def = nullptr;  // null: the Sidecar's
  uint16_t service_port = 0;
  std::string port_name;
  std::string endpoint;  // Sidecar's defaultEndpoint
  const TrafficPolicy::ConnectionPool* pool = nullptr;
  model::OriginPtr origin;
};

// The number on which a Service reaches this pod, 0 when it does not.
uint16_t reached_by(const ProxyView& view, const ServiceDef& def, const RegistryPort& port) {
  if (def.service && !def.service->selector.empty()) {
    if (def.ns != view.self.ns || !labels_contain(view.self.labels, def.service->selector)) return 0;
    if (view.self.pod) return target_port(*view.self.pod, port);
    return port.target.absent() ? port.port : port.target.number;
  }
  for (const Candidate& one : find_endpoints(view.mesh.index, def, port))
    if (const auto* at = std::get_if<SocketAddress>(&one.endpoint.address))
      if (std::find(view.self.ips.begin(), view.self.ips.end(), at->ip) != view.self.ips.end())
        return at->port;
  return 0;
}

std::vector<OwnPort> ports_of_services(const ProxyView& view) {
  std::vector<OwnPort> ports;
  // Visibility plays no part here: who may not be called by others is still called by those who may.
  for (const auto& def : view.mesh.registry) {
    if (def->discovery == Discovery::kAlias) continue;
    for (const RegistryPort& port : def->ports) {
      const uint16_t number = reached_by(view, *def, port);
      if (number == 0) continue;
      OwnPort own{number, port.protocol, def.get(), port.port, port.name, "", nullptr, def->origin};
      const MergedRule* rule = view.mesh.rules.find(view.self.ns, view.self.labels, def->host, def->ns);
      own.pool = effective_policy(rule, nullptr, port.port, *view.mesh.config).connection_pool;
      if (view.scope.sidecar && view.scope.sidecar->inbound_connection_pool)
        own.pool = &*view.scope.sidecar->inbound_connection_pool;
      ports.push_back(std::move(own));
    }
  }
  return ports;
}

std::vector<OwnPort> ports_of_sidecar(const Sidecar& sidecar) {
  std::vector<OwnPort> ports;
  for (const Sidecar::Ingress& ingress : sidecar.ingress) {
    OwnPort own;
    own.number = own.service_port = ingress.port.number;
    own.protocol = parse_protocol(ingress.port.protocol);
    own.port_name = ingress.port.name;
    own.endpoint = ingress.default_endpoint;
    own.origin = sidecar.meta.origin(ingress.line);
    if (sidecar.inbound_connection_pool) own.pool = &*sidecar.inbound_connection_pool;
    if (ingress.connection_pool) own.pool = &*ingress.connection_pool;
    ports.push_back(std::move(own));
  }
  return ports;
}

// Where a defaultEndpoint leads: loopback without a source bind, "any" to the pod's own address, a socket
// file, or, when empty, to the address the client dialled.
void aim(const ProxyView& view, const OwnPort& own, Cluster& cluster) {
  constexpr std::string_view kUnixScheme = "unix://";
  cluster.type = ClusterType::kOriginalDst;
  cluster.lb = model::LbPolicy::kClusterProvided;
  const auto fixed = [&](model::EndpointAddress address) {
    cluster.type = ClusterType::kStatic;
    cluster.lb = model::LbPolicy::kLeastRequest;
    model::Endpoint endpoint;
    endpoint.address = std::move(address);
    cluster.endpoints.push_back(std::move(endpoint));
  };
  const bool local_mesh = view.mesh.config->inbound_localhost || view.mesh.as_of_1_5;
  if (own.def && local_mesh) {
    fixed(SocketAddress{IpAddress::loopback(!view.self.v4), own.number});
    return;
  }
  if (own.endpoint.starts_with(kUnixScheme)) {
    fixed(model::UnixPath{own.endpoint.substr(kUnixScheme.size())});
    return;
  }
  if (const auto at = SocketAddress::parse(own.endpoint)) {
    if (at->ip.is_loopback()) {
      fixed(*at);
      return;
    }
    if (at->ip.is_any() && !view.self.ips.empty()) {
      const auto same = std::find_if(view.self.ips.begin(), view.self.ips.end(),
                                     [&](const auto& ip) { return ip.is_v6() == at->ip.is_v6(); });
      fixed(SocketAddress{same == view.self.ips.end() ? view.self.ips.front() : *same, at->port});
    }
  }
  bind_inbound_source(view, cluster);
}

model::ClusterPtr cluster_of(const ProxyView& view, const OwnPort& own) {
  auto cluster = std::make_shared<Cluster>();
  cluster->name = view.mesh.as_of_1_5 && own.def
                      ? fmt::format("inbound|{}|{}|{}", own.service_port, own.port_name, own.def->host)
                      : fmt::format("inbound|{}||", own.number);
  cluster->direction = model::Direction::kInbound;
  cluster->origin = own.origin;
  cluster->service_port = own.service_port;
  if (own.def) {
    cluster->service_host = own.def->host;
    cluster->service_name = own.def->name;
    cluster->service_namespace = own.def->ns;
  }
  aim(view, own, *cluster);
  apply_pool(own.pool, *view.mesh.config, *cluster);
  return cluster;
}

FilterChain chain_to(const std::string& name, const std::string& cluster, const OwnPort& own) {
  FilterChain chain = plain_chain(name, plain_route(cluster, own.origin));
  chain.match.destination_port = own.number;
  if (own.pool) {
    chain.route.idle_timeout = own.pool->idle_timeout;
    chain.route.max_connection_duration = own.pool->max_connection_duration;
  }
  return chain;
}

// Up to Istio 1.5 each inbound port also showed as a listener of its own on the pod's address.
model::ListenerPtr shown_as_of_1_5(const ProxyView& view, const OwnPort& own, FilterChain chain) {
  auto listener = std::make_shared<model::Listener>();
  const SocketAddress at{view.self.ips.front(), own.number};
  listener->name = listener_name(at);
  listener->direction = model::Direction::kInbound;
  listener->addresses = {at};
  listener->protocol = to_string(own.protocol);
  listener->origin = own.origin;
  chain.match = {};
  listener->chains.push_back(std::move(chain));
  return listener;
}

}  // namespace

bool reaches_self(const ProxyView& view, const ServiceDef& def) {
  return std::any_of(def.ports.begin(), def.ports.end(),
                     [&](const RegistryPort& port) { return reached_by(view, def, port) != 0; });
}

Inbound build_inbound(const ProxyView& view) {
  Inbound inbound;
  auto listener = std::make_shared<model::Listener>();
  listener->name = model::kVirtualInbound;
  listener->direction = model::Direction::kInbound;
  listener->addresses = view.wildcards(view.identity.ports.inbound);
  listener->protocol = "TCP";
  listener->origin = model::builtin_origin();
  FilterChain loop =
      plain_chain("virtualInbound-blackhole", plain_route(model::kBlackHoleCluster, model::builtin_origin()));
  loop.match.destination_port = view.identity.ports.inbound;
  loop.log = false;
  listener->chains.push_back(std::move(loop));
  listener->chains.push_back(plain_chain(
      model::kVirtualInbound, plain_route(model::kInboundPassthroughCluster, model::builtin_origin())));

  const auto& sidecar = view.scope.sidecar;
  const bool by_sidecar = sidecar && !sidecar->ingress.empty();
  std::map<uint16_t, const ServiceDef*> taken;
  for (const OwnPort& own : by_sidecar ? ports_of_sidecar(*sidecar) : ports_of_services(view)) {
    if (own.number == view.identity.ports.inbound) continue;
    const std::string chain_name = fmt::format("0.0.0.0_{}", own.number);
    const auto [at, fresh] = taken.emplace(own.number, own.def);
    const model::ClusterPtr cluster = cluster_of(view, own);
    if (!fresh) {
      // The oldest Service has the port, and decides its protocol.
      if (own.def != at->second || view.mesh.as_of_1_5)
        listener->losers.push_back(
            {own.origin,
             fmt::format("chain {} to {}", chain_name, cluster->name),
             fmt::format("older {} has port {}", at->second ? at->second->origin->to_string() : "entry",
                         own.number),
             {}});
      if (view.mesh.as_of_1_5) inbound.clusters.push_back(cluster);
      continue;
    }
    FilterChain chain = chain_to(chain_name, cluster->name, own);
    if (view.mesh.as_of_1_5 && !view.self.ips.empty())
      inbound.listeners.push_back(shown_as_of_1_5(view, own, chain));
    listener->chains.push_back(std::move(chain));
    inbound.clusters.push_back(cluster);
  }
  inbound.listeners.push_back(std::move(listener));
  return inbound;
}

}  // namespace sockmesh::config
