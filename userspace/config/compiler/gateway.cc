#include "config/compiler/gateway.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"
#include "config/compiler/clusters.h"
#include "config/compiler/listener_draft.h"
#include "config/compiler/routes.h"
#include "config/registry/endpoints.h"
#include "config/resources/age.h"
#include "config/resources/hostnames.h"
#include "model/finding_codes.h"

namespace sockmesh::config {

namespace {

using model::FilterChain;

// Any value of it on a Service leaves the Service out of the translation.
constexpr char kNoTranslation[] = "experimental.istio.io/disable-gateway-port-translation";
constexpr char kPassthrough[] = "PASSTHROUGH";
constexpr char kAutoPassthrough[] = "AUTO_PASSTHROUGH";
const std::vector<std::string> kIstioAlpn = {"istio", "istio-peer-exchange", "istio-http/1.0",
                                             "istio-http/1.1", "istio-h2"};

// A server of a Gateway with its hosts as "host" or "ns/host".
struct Server {
  const Gateway* gateway = nullptr;
  const GatewayServer* server = nullptr;
  std::string key;  // of the gateway
  std::vector<std::string> hosts;
  Protocol protocol = Protocol::kAuto;
  bool tls() const { return !server->tls_mode.empty() && !is_http(protocol); }
};

// By which VirtualServices and routes refer to it.
const std::string& name_of(const Gateway& gateway) {
  return gateway.generated_name.empty() ? gateway.meta.name : gateway.generated_name;
}

std::vector<std::string> plain_hosts(const GatewayServer& server, const std::string& ns) {
  std::vector<std::string> hosts;
  hosts.reserve(server.hosts.size());
  for (const std::string& host : server.hosts) {
    const bool own = host.starts_with("./"), any = host.starts_with("*/");
    hosts.push_back(own ? ns + host.substr(1) : any ? host.substr(2) : host);
  }
  return hosts;
}

std::string without_namespace(const std::string& host) {
  const size_t slash = host.find('/');
  return slash == std::string::npos ? host : host.substr(slash + 1);
}

bool serves(const Server& server, const VirtualService& route, const std::string& domain) {
  return std::any_of(route.hosts.begin(), route.hosts.end(), [&](const std::string& short_host) {
    const std::string host = full_name(short_host, route.meta.ns, domain);
    return std::any_of(server.hosts.begin(), server.hosts.end(), [&](const std::string& own) {
      const size_t slash = own.find('/');
      if (slash != std::string::npos && own.substr(0, slash) != route.meta.ns) return false;
      return hosts_match(without_namespace(own), host);
    });
  });
}

bool names_gateway(const std::vector<std::string>& names, const VirtualService& route,
                   const std::string& key) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return gateway_key(name, route.meta.ns) == key; });
}

// Subnets, source labels and namespaces are not looked at on a gateway.
bool applies(const L4Match& match, const VirtualService& route, const Server& server) {
  return (match.port == 0 || match.port == server.server->port.number) &&
         (match.gateways.empty() || names_gateway(match.gateways, route, server.key));
}

// One bound port while its servers are merged.
struct Port {
  SocketAddress at;
  bool plain = false;  // a server without TLS came first
  const Server* first = nullptr;
  std::set<std::string> hosts, server_names;  // taken by TLS servers and their matches
  model::Listener listener;
};

class Merge {
 public:
  Merge(const ProxyView& view, std::vector<model::Finding>& findings) : view_(view), findings_(findings) {}

  GatewayListeners run() {
    std::vector<Server> servers = servers_of_pod();
    for (const Server& server : servers) place(server);
    for (auto& [at, port] : ports_) finish(port);
    return std::move(out_);
  }

 private:
  std::vector<Server> servers_of_pod() {
    List<Gateway> gateways;
    for (const auto& gateway : view_.gateways)
      if (labels_contain(view_.self.labels, gateway->selector)) gateways.push_back(gateway);
    std::sort(gateways.begin(), gateways.end(), [](const auto& a, const auto& b) {
      return age(a->meta, name_of(*a)) < age(b->meta, name_of(*b));
    });
    std::vector<Server> servers;
    for (const auto& gateway : gateways)
      for (const GatewayServer& server : gateway->servers)
        servers.push_back({gateway.get(), &server, gateway->meta.ns + "/" + name_of(*gateway),
                           plain_hosts(server, gateway->meta.ns), parse_protocol(server.port.protocol)});
    return servers;
  }

  void place(const Server& server) {
    if (server.server->bind.starts_with("unix:"))
      return note(server, "SM0206",
                  "is on a Unix socket, where this proxy does not listen: it is not opened");
    const uint16_t number = server.server->port.number;
    bool translated = false;
    const uint16_t bound = translate_gateway_port(view_, number, translated);
    SocketAddress at = view_.wildcards(bound).front();
    if (const auto ip = IpAddress::parse(server.server->bind)) at.ip = *ip;
    const auto [it, fresh] = ports_.try_emplace(at);
    Port& port = it->second;
    if (fresh) {
      port.at = at;
      port.plain = !server.tls();
      port.first = &server;
      port.listener.origin = origin_of(server);
      port.listener.protocol = to_string(server.protocol);
    } else if (const std::string why = conflict(port, server); !why.empty()) {
      port.listener.losers.push_back({origin_of(server), text_of(server), why, {}});
      return;
    }
    if (server.tls()) {
      const auto taken = std::find_if(server.hosts.begin(), server.hosts.end(),
                                      [&](const std::string& host) { return port.hosts.contains(host); });
      if (taken != server.hosts.end()) {
        port.listener.losers.push_back(
            {origin_of(server),
             text_of(server),
             fmt::format("an earlier server on {} has host {}, so all of this one is skipped", at.to_string(),
                         *taken),
             {}});
        return;
      }
      port.hosts.insert(server.hosts.begin(), server.hosts.end());
      add_tls(port, server);
    } else if (is_http(server.protocol)) {
      note(server, "SM0201", "is an HTTP port: requests are not routed here, the port is not opened");
    } else {
      add_tcp(port, server);
    }
  }

  // Why a later server cannot share the port; empty when it can.
  static std::string conflict(const Port& port, const Server& server) {
    const std::string first = port.first->gateway->meta.origin()->to_string();
    if (port.plain) {
      if (is_http(server.protocol) && is_http(port.first->protocol)) return "";
      return fmt::format("older {} holds {} for {}", first, port.at.to_string(),
                         to_string(port.first->protocol));
    }
    if (!server.tls()) return fmt::format("older {} holds {} for TLS", first, port.at.to_string());
    return "";
  }

  void add_tcp(Port& port, const Server& server) {
    for (const auto& route : view_.scope.groups.front().routes) {
      if (!names_gateway(route->gateways, *route, server.key)) continue;
      if (!serves(server, *route, view_.mesh.config->domain)) continue;
      for (const L4Route& entry : route->tcp) {
        const bool matched = entry.matches.empty() || std::any_of(entry.matches.begin(), entry.matches.end(),
                                                                  [&](const L4Match& match) {
                                                                    return applies(match, *route, server);
                                                                  });
        if (!matched || entry.destinations.empty()) continue;
        auto made = route_to(view_, *route, entry.destinations, server.server->port.number, entry.line);
        if (!made) continue;
        Text name = made->stat_prefix;
        port.listener.chains.push_back(plain_chain(std::move(name), std::move(*made)));
        return;
      }
    }
    note(server, "SM0202", "has no VirtualService with a tcp route for it: the port is not opened");
  }

  void add_tls(Port& port, const Server& server) {
    if (server.server->tls_mode == kAutoPassthrough) {
      add_auto_passthrough(port, server);
      return;
    }
    if (server.server->tls_mode != kPassthrough) {
      note(server, "SM0203",
           fmt::format(
               "terminates TLS ({}), which this proxy does not: nothing is served for its hosts. With mode "
               "PASSTHROUGH and `tls` routes by SNI the server behind can terminate it",
               server.server->tls_mode));
      return;
    }
    for (const auto& route : view_.scope.groups.front().routes) {
      if (!names_gateway(route->gateways, *route, server.key)) continue;
      if (!serves(server, *route, view_.mesh.config->domain)) continue;
      for (const L4Route& entry : route->tls)
        for (const L4Match& match : entry.matches)
          if (applies(match, *route, server)) add_sni(port, server, *route, entry, match);
    }
  }

  void add_sni(Port& port, const Server& server, const VirtualService& route, const L4Route& entry,
               const L4Match& match) {
    const auto taken =
        std::find_if(match.sni_hosts.begin(), match.sni_hosts.end(),
                     [&](const std::string& name) { return port.server_names.contains(name); });
    if (taken != match.sni_hosts.end()) {
      port.listener.losers.push_back({route.meta.origin(match.line),
                                      "tls match [" + join(match.sni_hosts, ", ") + "]",
                                      fmt::format("an earlier match has {}", *taken),
                                      {}});
      return;
    }
    auto made = route_to(view_, route, entry.destinations, server.server->port.number, entry.line);
    if (!made) return;
    port.server_names.insert(match.sni_hosts.begin(), match.sni_hosts.end());
    Text chain_name = made->stat_prefix;
    FilterChain chain = plain_chain(std::move(chain_name), std::move(*made));
    for (const std::string& name : match.sni_hosts) {
      if (name == "*") {
        chain.match.server_names.clear();
        break;
      }
      chain.match.server_names.push_back(to_lower(name));
    }
    port.listener.chains.push_back(std::move(chain));
  }

  // The server name tells the cluster: "outbound_.9000_.v1_.echo.default.svc.cluster.local".
  void add_auto_passthrough(Port& port, const Server& server) {
    std::vector<std::string> names;
    for (const auto& [name, host] : view_.scope.hosts) {
      const bool internal = host.owner->kubernetes || (host.owner->entry && host.owner->entry->mesh_internal);
      const bool asked = std::any_of(
          server.hosts.begin(), server.hosts.end(),
          [&, wanted = name](const auto& h) { return host_covers(without_namespace(h), wanted); });
      if (internal && asked && host.owner->discovery != Discovery::kAlias) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    for (const std::string& name : names)
      for (auto& cluster : build_sni_clusters(view_, view_.scope.hosts.at(name))) {
        FilterChain chain = plain_chain(cluster->name, plain_route(cluster->name, origin_of(server)));
        chain.match.server_names = {cluster->name};
        chain.match.application_protocols = kIstioAlpn;
        port.listener.chains.push_back(std::move(chain));
        out_.clusters.push_back(std::move(cluster));
      }
  }

  void finish(Port& port) {
    // Without a single chain Istio makes no listener: the connection is refused.
    if (port.listener.chains.empty()) return;
    model::Listener& listener = port.listener;
    listener.name = listener_name(port.at);
    listener.bind_to_port = true;
    listener.addresses = {port.at};
    if (port.at.ip.is_any()) listener.addresses = view_.wildcards(port.at.port);
    listener.accept_proxy_protocol = view_.mesh.config->gateway_proxy_protocol;
    listener.inspect_tls = std::any_of(listener.chains.begin(), listener.chains.end(), [](const auto& chain) {
      return !chain.match.server_names.empty() || !chain.match.application_protocols.empty();
    });
    if (const std::string both = ambiguous_match(listener.chains); !both.empty()) {
      findings_.push_back(model::make_finding(
          "SM0101", listener.origin,
          fmt::format("listener {} has two filter chains for {}: Envoy refuses it as a whole", listener.name,
                      both)));
      return;
    }
    out_.listeners.push_back(std::make_shared<const model::Listener>(std::move(listener)));
  }

  void note(const Server& server, const char* code, std::string text) {
    const uint16_t number = server.server->port.number;
    bool translated = false;
    const uint16_t bound = translate_gateway_port(view_, number, translated);
    const std::string as = bound == number ? "" : fmt::format("(bound as {}) ", bound);
    model::Finding finding =
        model::make_finding(code, origin_of(server), fmt::format("server port {} {}{}", number, as, text));
    finding.server_ports = {number, bound};
    findings_.push_back(std::move(finding));
  }

  static model::OriginPtr origin_of(const Server& server) {
    return server.gateway->meta.origin(server.server->line);
  }
  static std::string text_of(const Server& server) {
    return fmt::format("server {} {} [{}]", server.server->port.number, to_string(server.protocol),
                       join(server.hosts, ", "));
  }

  const ProxyView& view_;
  std::vector<model::Finding>& findings_;
  std::map<SocketAddress, Port> ports_;
  GatewayListeners out_;
};

}  // namespace

std::string gateway_key(const std::string& name, const std::string& ns) {
  if (name == "mesh") return name;
  const size_t slash = name.find('/');
  if (slash != std::string::npos) return name.starts_with("./") ? ns + name.substr(1) : name;
  const size_t dot = name.find('.');
  if (dot == std::string::npos) return ns + "/" + name;
  const std::string rest = name.substr(dot + 1);
  return rest.substr(0, rest.find('.')) + "/" + name.substr(0, dot);
}

uint16_t translate_gateway_port(const ProxyView& view, uint16_t number, bool& found) {
  found = false;
  for (const auto& def : view.mesh.registry) {
    if (!def->service || def->ns != view.self.ns || def->service->selector.empty()) continue;
    if (!labels_contain(view.self.labels, def->service->selector)) continue;
    if (def->service->meta.labels.contains(kNoTranslation)) continue;
    if (const RegistryPort* port = def->port(number)) {
      const uint16_t target = view.self.pod           ? target_port(*view.self.pod, *port)
                              : port->target.absent() ? port->port
                                                      : port->target.number;
      if (target == 0) continue;
      found = true;
      return target;
    }
  }
  return number;
}

GatewayListeners build_gateway(const ProxyView& view, std::vector<model::Finding>& findings) {
  return Merge(view, findings).run();
}

}  // namespace sockmesh::config
