// Gateways: ports that two of them want, that no route leads on from, or that no Service exposes.
#include <algorithm>
#include <set>

#include "config/analysis/context.h"
#include "config/registry/endpoints.h"
#include "config/resources/age.h"
#include "config/resources/hostnames.h"

namespace sockmesh::config {

namespace {

struct Server {
  const Gateway* gateway;
  const GatewayServer* server;
  std::set<const Pod*> pods;  // that listen
};

bool same_place(const Server& a, const Server& b) {
  if (a.server->port.number != b.server->port.number || a.server->bind != b.server->bind) return false;
  if (a.gateway->selector == b.gateway->selector) return true;
  return std::any_of(a.pods.begin(), a.pods.end(), [&](const Pod* pod) { return b.pods.contains(pod); });
}

// The DNS part of "ns/host".
std::string host_part(const std::string& scoped) {
  const size_t slash = scoped.find('/');
  return slash == std::string::npos ? scoped : scoped.substr(slash + 1);
}

bool hosts_overlap(const GatewayServer& a, const GatewayServer& b) {
  for (const std::string& one : a.hosts) {
    for (const std::string& other : b.hosts) {
      if (hosts_match(host_part(one), host_part(other))) return true;
    }
  }
  return false;
}

bool is_plain_tcp(const GatewayServer& server) {
  return !is_http(parse_protocol(server.port.protocol)) && !is_tls(parse_protocol(server.port.protocol));
}

bool server_takes(const GatewayServer& server, const std::string& gateway_ns, const VirtualService& service,
                  const std::string& host) {
  return std::any_of(server.hosts.begin(), server.hosts.end(), [&](const std::string& scoped) {
    const size_t slash = scoped.find('/');
    if (slash != std::string::npos) {
      const std::string ns = scoped.substr(0, slash);
      if (ns != "*" && service.meta.ns != (ns == "." ? gateway_ns : ns)) return false;
    }
    return hosts_match(host_part(scoped), host);
  });
}

void check_conflicts(Analysis& analysis, const std::vector<Server>& servers) {
  for (const Server& one : servers) {
    for (const Server& other : servers) {
      if (one.gateway == other.gateway || !same_place(one, other)) continue;
      if (one.gateway->selector == other.gateway->selector && hosts_overlap(*one.server, *other.server)) {
        analysis.find("IST0145", one.gateway->meta, one.server->line,
                      fmt::format("Conflict with gateways {} (workload selector {}, port {}, hosts {}).",
                                  slashed(other.gateway->meta), label_text(one.gateway->selector),
                                  one.server->port.number, fmt::join(one.server->hosts, ",")));
      }
      const bool plain = is_plain_tcp(*one.server) || is_plain_tcp(*other.server);
      if (plain && age(other.gateway->meta) < age(one.gateway->meta)) {
        analysis.find(
            "SM0008", one.gateway->meta, one.server->line,
            fmt::format("Port {} is not opened for this server: the older Gateway {} has it, and plain TCP "
                        "shares a port with nobody. Another port, or another `bind`, would cure it.",
                        one.server->port.number, slashed(other.gateway->meta)));
      }
    }
  }
}

// The VirtualServices that name this gateway.
std::vector<const VirtualService*> routes_of(const Analysis& analysis, const Gateway& gateway) {
  std::vector<const VirtualService*> out;
  for (const auto& service : analysis.resources.virtual_services) {
    for (const std::string& name : service->gateways) {
      if (analysis.find_gateway(name, service->meta.ns) == &gateway) out.push_back(service.get());
    }
  }
  return out;
}

bool leads_on(const Analysis& analysis, const Server& from, const VirtualService& service) {
  const GatewayServer& server = *from.server;
  const bool hosts = std::any_of(service.hosts.begin(), service.hosts.end(), [&](const std::string& host) {
    return server_takes(server, from.gateway->meta.ns, service, analysis.full_name(host, service.meta.ns));
  });
  if (!hosts) return false;
  const auto takes = [&](const L4Match& match) {
    const bool port = match.port == 0 || match.port == server.port.number;
    const bool gateway =
        match.gateways.empty() ||
        std::any_of(match.gateways.begin(), match.gateways.end(), [&](const std::string& name) {
          return analysis.find_gateway(name, service.meta.ns) == from.gateway;
        });
    return port && gateway;
  };
  for (const auto* routes : {&service.tcp, &service.tls}) {
    for (const L4Route& route : *routes) {
      if (route.matches.empty() || std::any_of(route.matches.begin(), route.matches.end(), takes))
        return true;
    }
  }
  return false;
}

void check_routes(Analysis& analysis, const Server& one) {
  const Protocol protocol = parse_protocol(one.server->port.protocol);
  const std::string& mode = one.server->tls_mode;
  if (!mode.empty() && mode != "PASSTHROUGH" && mode != "AUTO_PASSTHROUGH" && !is_http(protocol)) {
    return analysis.find("SM0203", one.gateway->meta, one.server->line,
                         fmt::format("Port {} terminates TLS ({}), which this proxy does not: nothing is "
                                     "served for its hosts ({}). With "
                                     "mode PASSTHROUGH and `tls` routes by SNI the server behind can "
                                     "terminate it; else put a proxy that "
                                     "terminates TLS before this one.",
                                     one.server->port.number, mode, fmt::join(one.server->hosts, ", ")));
  }
  if (is_http(protocol) || protocol == Protocol::kHttps || mode == "AUTO_PASSTHROUGH") return;
  const auto routes = routes_of(analysis, *one.gateway);
  if (std::any_of(routes.begin(), routes.end(),
                  [&](const VirtualService* service) { return leads_on(analysis, one, *service); })) {
    return;
  }
  std::string hint = "No VirtualService names it in `gateways`";
  if (!routes.empty()) {
    hint = fmt::format(
        "VirtualService {} names it, but has no `tcp` or `tls` entry for this port and these hosts",
        slashed(routes.front()->meta));
  }
  analysis.find(
      "SM0010", one.gateway->meta, one.server->line,
      fmt::format(
          "Port {} is not opened: no route leads on from it, so connections are refused. {}; `match.port` "
          "is compared to this number.",
          one.server->port.number, hint));
}

// Hosts of a VirtualService that a gateway it names does not serve.
void check_hosts(Analysis& analysis) {
  for (const auto& service : analysis.resources.virtual_services) {
    for (const std::string& name : service->gateways) {
      const Gateway* gateway = name == "mesh" ? nullptr : analysis.find_gateway(name, service->meta.ns);
      if (!gateway) continue;
      std::vector<std::string> missing;
      for (const std::string& host : service->hosts) {
        const std::string full = analysis.full_name(host, service->meta.ns);
        const bool served =
            std::any_of(gateway->servers.begin(), gateway->servers.end(), [&](const auto& server) {
              return server_takes(server, gateway->meta.ns, *service, full) ||
                     server_takes(server, gateway->meta.ns, *service, host);
            });
        if (!served) missing.push_back(host);
      }
      if (missing.empty()) continue;
      analysis.find("IST0132", service->meta, 0,
                    fmt::format("one or more host {} defined in VirtualService {} not found in Gateway {}.",
                                go_list(missing), slashed(service->meta), slashed(gateway->meta)));
    }
  }
}

// The Services that bring connections to the gateway's pods; by their selectors alone when no pod is known.
std::vector<const Service*> services_of(const Analysis& analysis, const Server& one) {
  std::vector<const Service*> out;
  for (const auto& service : analysis.resources.services) {
    if (service->selector.empty()) continue;
    const bool brings = one.pods.empty() ? labels_contain(service->selector, one.gateway->selector)
                                         : std::any_of(one.pods.begin(), one.pods.end(), [&](const Pod* pod) {
                                             return pod->meta.ns == service->meta.ns &&
                                                    labels_contain(pod->meta.labels, service->selector);
                                           });
    if (brings) out.push_back(service.get());
  }
  return out;
}

bool exposes(const Service& service, uint16_t number, const std::set<const Pod*>& pods) {
  return std::any_of(service.ports.begin(), service.ports.end(), [&](const ServicePort& port) {
    if (port.transport != "TCP") return false;
    if (port.port == number || port.target.number == number) return true;
    return std::any_of(pods.begin(), pods.end(), [&](const Pod* pod) {
      return std::any_of(pod->ports.begin(), pod->ports.end(), [&](const ContainerPort& container) {
        return !port.target.name.empty() && container.name == port.target.name && container.port == number;
      });
    });
  });
}

// What `kubectl patch` takes to add the port.
std::string patch_for(const Service& service, const IstioPort& port) {
  std::string name = port.name.empty() ? fmt::format("tcp-{}", port.number) : port.name;
  const bool taken = std::any_of(service.ports.begin(), service.ports.end(),
                                 [&](const ServicePort& other) { return other.name == name; });
  if (taken) name += fmt::format("-{}", port.number);
  return fmt::format(
      "kubectl patch service {} -n {} --type=json -p '[{{\"op\": \"add\", \"path\": \"/spec/ports/-\", "
      "\"value\": "
      "{{\"name\": \"{}\", \"port\": {}, \"protocol\": \"TCP\", \"targetPort\": {}}}}}]'",
      service.meta.name, service.meta.ns, name, port.number, port.number);
}

std::vector<Server> servers_of(const Analysis& analysis) {
  std::vector<Server> out;
  for (const auto& gateway : analysis.resources.gateways) {
    std::set<const Pod*> pods;
    for (const auto& pod : analysis.resources.pods) {
      if (labels_contain(pod->meta.labels, gateway->selector)) pods.insert(pod.get());
    }
    for (const GatewayServer& server : gateway->servers) out.push_back({gateway.get(), &server, pods});
  }
  return out;
}

}  // namespace

void analyze_gateways(Analysis& analysis) {
  const std::vector<Server> servers = servers_of(analysis);
  check_conflicts(analysis, servers);
  for (const Server& one : servers) check_routes(analysis, one);
  check_hosts(analysis);
}

void analyze_gateway_ports(Analysis& analysis) {
  for (const Server& one : servers_of(analysis)) {
    const uint16_t number = one.server->port.number;
    const std::vector<const Service*> services = services_of(analysis, one);
    const bool exposed = std::any_of(services.begin(), services.end(), [&](const Service* service) {
      return exposes(*service, number, one.pods);
    });
    if (services.empty() || exposed) continue;
    analysis.find(
        "IST0162", one.gateway->meta, one.server->line,
        fmt::format("The gateway is listening on a target port (port {}) that is not defined in the Service "
                    "associated with its workload instances (Pod selector {}). If you need to access the "
                    "gateway port through the gateway Service, it will not be available.",
                    number, label_text(one.gateway->selector)));
    analysis.find(
        "SM0005", one.gateway->meta, one.server->line,
        fmt::format(
            "Port {} of this Gateway is not exposed by Service {}: nothing from outside arrives there. "
            "To expose it: {}",
            number, slashed(services.front()->meta), patch_for(*services.front(), one.server->port)));
  }
}

}  // namespace sockmesh::config
