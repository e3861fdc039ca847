#include "config/compiler/outbound.h"

#include <algorithm>
#include <array>

#include "config/compiler/clusters.h"
#include "config/compiler/listener_draft.h"
#include "config/compiler/routes.h"
#include "config/registry/endpoints.h"
#include "model/finding_codes.h"

namespace sockmesh::config {

namespace {

using model::FilterChain;

// A wildcard listener on a port of the proxy itself would never be reached.
bool own_port(const model::Ports& own, const SocketAddress& address) {
  const std::array taken = {own.outbound, own.inbound, own.readiness, own.metrics};
  return address.ip.is_any() && std::find(taken.begin(), taken.end(), address.port) != taken.end();
}

FilterChain catch_all(const ProxyView& view, const char* name) {
  std::string cluster = view.scope.registry_only ? model::kBlackHoleCluster : model::kPassthroughCluster;
  if (view.scope.egress_proxy)
    cluster =
        destination_cluster(view, *view.scope.egress_proxy, view.self.ns, view.scope.egress_proxy->port);
  const auto origin = view.scope.policy_origin ? view.scope.policy_origin : model::builtin_origin();
  return plain_chain(name, plain_route(cluster, origin));
}

// Until Istio 1.5 what was sent to the proxy's own addresses was dropped, for fear of loops.
std::optional<FilterChain> own_addresses_dropped(const ProxyView& view) {
  if (!view.mesh.as_of_1_5 || view.self.ips.empty()) return std::nullopt;
  FilterChain chain =
      plain_chain("own-address-blackhole", plain_route(model::kBlackHoleCluster, model::builtin_origin()));
  for (const IpAddress& ip : view.self.ips)
    chain.match.prefix_ranges.push_back({ip, static_cast<uint8_t>(ip.bits())});
  return chain;
}

}  // namespace

model::ListenerPtr build_virtual_outbound(const ProxyView& view) {
  auto listener = std::make_shared<model::Listener>();
  listener->name = model::kVirtualOutbound;
  listener->addresses = view.wildcards(view.identity.ports.outbound);
  listener->protocol = "TCP";
  listener->origin = model::builtin_origin();
  FilterChain loop = plain_chain("virtualOutbound-blackhole",
                                 plain_route(model::kBlackHoleCluster, model::builtin_origin()));
  loop.match.destination_port = view.identity.ports.outbound;
  loop.log = false;
  listener->chains.push_back(std::move(loop));
  if (auto dropped = own_addresses_dropped(view)) listener->chains.push_back(std::move(*dropped));
  listener->chains.push_back(catch_all(view, "virtualOutbound-catchall-tcp"));
  for (const Scope::Hidden& hidden : view.scope.hidden)
    for (const Prefix& block : hidden.def->addresses)
      if (block.is_host())
        for (const RegistryPort& port : hidden.def->ports) {
          const SocketAddress at{block.address, port.port};
          listener->losers.push_back(
              {hidden.def->origin, "listener " + listener_name(at), hidden.reason, at});
        }
  return listener;
}

namespace {

// The claims of one egress group, in the order in which conflicts are settled. `Take` is told of them:
// http(address) of an HTTP service there, claim(in_view, addresses) of one to be had.
template <typename Take>
class Claims {
 public:
  Claims(const ProxyView& view, const EgressGroup& group, Take& take)
      : view_(view), group_(group), take_(take) {
    if (group.listener && group.listener->port && group.listener->port->number != 0)
      declared_ = parse_protocol(group.listener->port->protocol);
  }

  void run() {
    // HTTP ports have no exact address in Istio: whoever claims one for TCP goes first.
    for (const bool http : {false, true})
      for (const EgressGroup::Import& import : group_.services)
        for (const RegistryPort& port : import.def->ports) {
          if (import.only_port && port.port != *import.only_port) continue;
          const Protocol protocol = declared_.value_or(port.protocol);
          if (protocol == Protocol::kUdp) continue;
          if (is_http(protocol) && !http && import.def->discovery != Discovery::kAlias)
            take_.http(*import.def, bind_address(port.port).value_or(view_.wildcards(port.port).front()));
          if (is_http(protocol) == http && take_.asks_about(*import.def)) claim(*import.def, port, protocol);
        }
  }

 private:
  void claim(const ServiceDef& def, const RegistryPort& port, Protocol protocol) {
    if (def.discovery == Discovery::kAlias && (!view_.mesh.as_of_1_5 || is_http(protocol))) return;
    PortInView in_view{&def, port.port, protocol, std::nullopt, false};
    if (const auto bound = bind_address(port.port)) {
      add(in_view, {*bound});
    } else if (def.addresses.empty()) {
      claim_without_address(in_view, port);
    } else if (def.kubernetes) {
      std::vector<SocketAddress> addresses;
      for (const Prefix& vip : def.addresses)
        if (view_.reachable(vip.address)) addresses.push_back({vip.address, port.port});
      if (!addresses.empty()) add(in_view, std::move(addresses));
    } else {
      for (const Prefix& block : def.addresses) claim_block(in_view, block);
    }
  }

  void claim_block(PortInView in_view, const Prefix& block) {
    if (!view_.reachable(block.address)) return;
    if (block.is_host()) {
      if (block.address.is_any()) {
        claim_wildcard(in_view);
      } else {
        add(in_view, {{block.address, in_view.listen_port}});
      }
      return;
    }
    in_view.block = block;
    claim_wildcard(in_view);
  }

  void claim_wildcard(PortInView in_view) {
    in_view.wildcard_bind = true;
    add(in_view, view_.wildcards(in_view.listen_port));
  }

  // Headless Services, and ServiceEntries that name hosts only.
  void claim_without_address(const PortInView& in_view, const RegistryPort& port) {
    const ServiceDef& def = *in_view.def;
    if (def.discovery == Discovery::kNone && !declared_) {
      const auto endpoints = find_endpoints(view_.mesh.index, def, port);
      const bool nothing_behind = def.entry && !def.entry->workload_selector && endpoints.empty();
      if (!nothing_behind) {
        for (const Candidate& one : endpoints) {
          const auto* at = std::get_if<SocketAddress>(&one.endpoint.address);
          if (!at || !view_.reachable(at->ip)) continue;
          if (!view_.self.ips.empty() && at->ip == view_.self.ips.front()) continue;
          add(in_view, {{at->ip, port.port}});
        }
        return;
      }
    }
    // An HTTP port without an address is found by its Host header alone: nobody owns an address here.
    if (!is_http(in_view.protocol)) claim_wildcard(in_view);
  }

  std::optional<SocketAddress> bind_address(uint16_t port) const {
    if (!group_.listener) return std::nullopt;
    if (const auto ip = IpAddress::parse(group_.listener->bind)) return SocketAddress{*ip, port};
    if (group_.listener->capture_none) return SocketAddress{IpAddress::loopback(!view_.self.v4), port};
    return std::nullopt;
  }

  void add(const PortInView& in_view, std::vector<SocketAddress> addresses) {
    if (!own_port(view_.identity.ports, addresses.front())) take_.claim(in_view, std::move(addresses));
  }

  const ProxyView& view_;
  const EgressGroup& group_;
  Take& take_;
  std::optional<Protocol> declared_;  // by an egress listener with a port
};

bool on_socket(const EgressGroup& group) {
  return group.listener && group.listener->bind.starts_with("unix:");
}

model::Finding unix_socket(const Sidecar& sidecar, const Sidecar::Egress& egress) {
  return model::make_finding(
      "SM0206", sidecar.meta.origin(egress.line),
      fmt::format(
          "egress listener on {}: this proxy listens on IP addresses only, nobody serves the socket. With "
          "`bind: 127.0.0.1` and captureMode NONE it is a port of the pod instead",
          egress.bind));
}

// Turns the claims of a group into drafts of listeners.
struct Drafting {
  const ProxyView& view;
  const EgressGroup& group;
  const AddressSet* only;
  ListenerDrafts& drafts;
  RouteTable routes{group.routes, *view.mesh.config};

  bool asks_about(const ServiceDef&) const { return true; }
  void http(const ServiceDef&, const SocketAddress& at) {
    if (!only || only->contains(at)) drafts.see_http(at);
  }
  void claim(const PortInView& in_view, std::vector<SocketAddress> addresses) {
    if (only && !only->contains(addresses.front())) return;
    Claim claim;
    claim.addresses = std::move(addresses);
    claim.def = in_view.def;
    claim.protocol = in_view.protocol;
    claim.bind_to_port = group.listener && group.listener->capture_none;
    claim.chains = chains_for(view, routes, in_view, claim.losers);
    drafts.add(std::move(claim));
  }
};

// Notes the addresses that some hosts have a part in.
struct Noting {
  const HostSet& hosts;
  AddressSet& addresses;

  bool asks_about(const ServiceDef& def) const { return hosts.contains(def.host); }
  void http(const ServiceDef& def, const SocketAddress& at) {
    if (asks_about(def)) addresses.insert(at);
  }
  void claim(const PortInView&, const std::vector<SocketAddress>& claimed) {
    addresses.insert(claimed.front());
  }
};

}  // namespace

std::vector<ListenerDrafts::Finished> build_outbound(const ProxyView& view, const AddressSet* only) {
  ListenerDrafts drafts;
  for (const EgressGroup& group : view.scope.groups) {
    // A catch-all listener of a Sidecar leaves alone what those with a port have made.
    if (group.listener && !group.listener->port) drafts.lock();
    if (on_socket(group)) continue;
    Drafting drafting{view, group, only, drafts};
    Claims(view, group, drafting).run();
  }
  return drafts.finish(catch_all(view, "PassthroughFilterChain"), own_addresses_dropped(view));
}

std::vector<model::Finding> outbound_findings(const ProxyView& view) {
  std::vector<model::Finding> findings;
  for (const EgressGroup& group : view.scope.groups)
    if (on_socket(group)) findings.push_back(unix_socket(*view.scope.sidecar, *group.listener));
  return findings;
}

AddressSet outbound_addresses(const ProxyView& view, const HostSet& hosts) {
  AddressSet addresses;
  for (const EgressGroup& group : view.scope.groups) {
    if (on_socket(group)) continue;
    Noting noting{hosts, addresses};
    Claims(view, group, noting).run();
  }
  return addresses;
}

}  // namespace sockmesh::config
