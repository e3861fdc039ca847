// VirtualServices: entries that are never reached, hosts that several define or nobody has, shares that reach
// nobody, and what layer 4 does not do.
#include <algorithm>
#include <set>

#include "config/analysis/context.h"
#include "config/resources/hostnames.h"

namespace sockmesh::config {

namespace {

// Everything a match says, as one text to compare by.
std::string match_key(const L4Match& match) {
  std::vector<std::string> subnets;
  for (const Prefix& prefix : match.destination_subnets) subnets.push_back(prefix.to_string());
  return fmt::format("{}|{}|{}|{}|{}|{}", match.port, fmt::join(subnets, ","),
                     label_text(match.source_labels), match.source_namespace, fmt::join(match.gateways, ","),
                     fmt::join(match.sni_hosts, ","));
}

void check_reachability(Analysis& analysis, const VirtualService& service,
                        const std::vector<L4Route>& routes) {
  std::map<std::string, size_t> seen;  // match -> the rule that has it first
  std::optional<size_t> takes_all;
  const auto unreachable = [&](size_t rule, std::string_view reason) {
    analysis.find("IST0130", service.meta, routes[rule].line,
                  fmt::format("VirtualService rule #{} not used ({}).", rule, reason));
  };
  for (size_t rule = 0; rule < routes.size(); ++rule) {
    if (takes_all) {
      unreachable(rule, routes[rule].matches.empty()
                            ? "only the last rule can have no matches"
                            : fmt::format("rule #{} before it has no matches", *takes_all));
    }
    if (routes[rule].matches.empty()) {
      if (!takes_all) takes_all = rule;
      continue;
    }
    size_t duplicates = 0;
    for (size_t i = 0; i < routes[rule].matches.size(); ++i) {
      const auto [first, fresh] = seen.try_emplace(match_key(routes[rule].matches[i]), rule);
      if (fresh) continue;
      ++duplicates;
      analysis.find(
          "IST0131", service.meta, routes[rule].matches[i].line,
          fmt::format(
              "VirtualService rule #{} match #{} is not used (duplicate/overlapping match in rule #{}).",
              rule, i, first->second));
    }
    if (duplicates == routes[rule].matches.size()) unreachable(rule, "all matches used by prior rules");
  }
}

// A share that reaches nobody: no weight, or a cluster without endpoints. (What does not exist is IST0101.)
void check_shares(Analysis& analysis, const VirtualService& service, const L4Route& route) {
  if (route.destinations.size() < 2) return;
  int64_t sum = 0;
  for (const RouteDestination& to : route.destinations) sum += to.weight.value_or(0);
  for (const RouteDestination& to : route.destinations) {
    const std::string name =
        to.destination.host + (to.destination.subset.empty() ? "" : "+" + to.destination.subset);
    if (to.weight.value_or(0) == 0) {
      analysis.find(
          "SM0007", service.meta, to.line,
          fmt::format("Destination {} gets no connection: it has no weight, and others have.", name));
      continue;
    }
    const ServiceDef* def = analysis.find_host(to.destination.host, service.meta.ns);
    if (!def || def->discovery != Discovery::kEds || !to.destination.subset.empty())
      continue;  // IST0173 tells subsets
    if (!analysis.has_endpoints(*def, {})) {
      analysis.find(
          "SM0007", service.meta, to.line,
          fmt::format("{:.4g} % of the connections go to {}, which has no endpoints: they end with UH.",
                      100.0 * static_cast<double>(*to.weight) / static_cast<double>(sum), name));
    }
  }
}

// The services that a VirtualService's host names.
std::vector<const ServiceDef*> named_by(const Analysis& analysis, const std::string& full_host) {
  std::vector<const ServiceDef*> out;
  if (!is_wildcard(full_host)) {
    for (const auto& def : analysis.definitions_of(full_host)) out.push_back(def.get());
    if (!out.empty()) return out;
  }
  for (const auto& def : analysis.registry) {
    if (hosts_match(full_host, def->host)) out.push_back(def.get());
  }
  return out;
}

void check_match_ports(Analysis& analysis, const VirtualService& service, const std::vector<L4Route>& routes,
                       const std::vector<const ServiceDef*>& served) {
  for (const L4Route& route : routes) {
    for (const L4Match& match : route.matches) {
      const bool on_mesh = match.gateways.empty() ? service.gateways.size() <= 1
                                                  : match.gateways == std::vector<std::string>{"mesh"};
      const bool any = std::any_of(served.begin(), served.end(), [&](const ServiceDef* def) {
        return match.port == 0 || def->port(match.port);
      });
      if (!on_mesh || any) continue;
      analysis.find(
          "SM0011", service.meta, match.line,
          fmt::format(
              "This match can never be true: port {} is compared to the ports of the service ({}), not "
              "to its target ports.",
              match.port, served.front()->host));
    }
  }
}

// A TCP route on the mesh takes effect on the listeners of the services its hosts name, by the service port.
// Hosts of a `tls` route may be there for their SNI alone.
void check_mesh_match(Analysis& analysis, const VirtualService& service) {
  if (!gateways_include_mesh(service) || (service.tcp.empty() && service.tls.empty())) return;
  std::vector<const ServiceDef*> served;
  std::vector<std::string> nobody;
  for (const std::string& host : service.hosts) {
    const auto named = named_by(analysis, analysis.full_name(host, service.meta.ns));
    served.insert(served.end(), named.begin(), named.end());
    if (named.empty()) nobody.push_back(host);
  }
  if (!nobody.empty() && (served.empty() || service.tls.empty())) {
    analysis.find(
        "SM0011", service.meta, 0,
        fmt::format(
            "No route of this VirtualService is ever used for {}: its hosts have to name a Service or a "
            "host of a ServiceEntry, and nobody has it.",
            fmt::join(nobody, ", ")));
  }
  if (served.empty()) return;
  check_match_ports(analysis, service, service.tcp, served);
  check_match_ports(analysis, service, service.tls, served);
}

// Layer 4 takes a connection to the owner of its address; an HTTP route might have sent its requests
// elsewhere.
void check_http(Analysis& analysis, const VirtualService& service) {
  for (const auto& route : service.http) {
    std::set<std::string> elsewhere;
    for (const RouteDestination& to : route.destinations) {
      const std::string target = analysis.full_name(to.destination.host, service.meta.ns);
      const bool own = std::any_of(service.hosts.begin(), service.hosts.end(), [&](const std::string& host) {
        return analysis.full_name(host, service.meta.ns) == target;
      });
      if (!own || !to.destination.subset.empty()) {
        elsewhere.insert(to.destination.host +
                         (to.destination.subset.empty() ? "" : "+" + to.destination.subset));
      }
    }
    if (!gateways_include_mesh(service)) {
      analysis.find(
          "SM0006", service.meta, route.line,
          "HTTP routes are not applied at layer 4: through a gateway only `tcp` and `tls` routes lead on.");
    } else if (!elsewhere.empty()) {
      analysis.find(
          "SM0006", service.meta, route.line,
          fmt::format("HTTP routes are not applied at layer 4: connections go to the owner of the address, "
                      "not to {}. A `tcp` route of the same service is applied.",
                      fmt::join(elsewhere, ", ")));
    }
  }
}

// Hosts on the mesh by who sees them: "*/host" or "namespace/host".
void check_same_hosts(Analysis& analysis) {
  std::map<std::string, std::vector<const VirtualService*>> by_host;
  for (const auto& service : analysis.resources.virtual_services) {
    if (!gateways_include_mesh(*service)) continue;
    std::vector<std::string> scopes = service->export_to;
    if (scopes.empty()) scopes = analysis.mesh->default_virtual_service_export_to;
    if (scopes.empty()) scopes = {"*"};
    for (const std::string& scope : scopes) {
      if (scope == "~") continue;
      for (const std::string& host : service->hosts) {
        by_host[(scope == "." ? service->meta.ns : scope) + "/" + analysis.full_name(host, service->meta.ns)]
            .push_back(service.get());
      }
    }
  }
  for (const auto& entry : by_host) {
    if (entry.second.size() < 2) continue;
    std::vector<std::string> names;
    for (const VirtualService* service : entry.second) names.push_back(slashed(service->meta));
    std::sort(names.begin(), names.end());
    for (const VirtualService* service : entry.second) {
      analysis.find(
          "IST0109", service->meta, 0,
          fmt::format(
              "The VirtualServices {} associated with mesh gateway define the same host {} which can "
              "lead to undefined behavior. This can be fixed by merging the conflicting VirtualServices "
              "into a single resource.",
              fmt::join(names, ","), entry.first));
    }
  }
}

// Subsets that a mesh-only VirtualService chooses do not hold for what a gateway sends to the same host.
void check_ingress_subsets(Analysis& analysis) {
  const auto hosts_of = [&](const VirtualService& service, bool with_subset) {
    std::set<std::string> out;
    for (const auto* routes : {&service.tcp, &service.tls}) {
      for (const L4Route& route : *routes) {
        for (const RouteDestination& to : route.destinations) {
          if (to.destination.subset.empty() != with_subset) {
            out.insert(analysis.full_name(to.destination.host, service.meta.ns));
          }
        }
      }
    }
    return out;
  };
  std::map<std::string, const VirtualService*> from_gateways;  // host -> a VirtualService that sends there
  for (const auto& service : analysis.resources.virtual_services) {
    if (gateways_include_mesh(*service)) continue;
    for (const std::string& host : hosts_of(*service, false)) from_gateways.emplace(host, service.get());
  }
  for (const auto& service : analysis.resources.virtual_services) {
    if (!gateways_include_mesh(*service) || service->gateways.size() > 1) continue;
    for (const std::string& host : hosts_of(*service, true)) {
      const auto ingress = from_gateways.find(host);
      if (ingress == from_gateways.end()) continue;
      analysis.find("IST0140", service->meta, 0,
                    fmt::format("Subset in virtual service {} has no effect on ingress gateway {} requests",
                                slashed(service->meta), slashed(ingress->second->meta)));
    }
  }
}

}  // namespace

void analyze_virtual_services(Analysis& analysis) {
  for (const auto& service : analysis.resources.virtual_services) {
    check_reachability(analysis, *service, service->tcp);
    check_reachability(analysis, *service, service->tls);
    for (const L4Route& route : service->tcp) check_shares(analysis, *service, route);
    for (const L4Route& route : service->tls) check_shares(analysis, *service, route);
    check_mesh_match(analysis, *service);
    check_http(analysis, *service);
    if (service->tcp.empty() && service->tls.empty() && service->http.empty()) {
      analysis.find("IST0106", service->meta, 0,
                    "Schema validation error: http, tcp or tls must be provided in virtual service");
    }
    for (const L4Route& route : service->tls) {
      for (const L4Match& match : route.matches) {
        for (const std::string& sni : match.sni_hosts) {
          const bool covered =
              std::any_of(service->hosts.begin(), service->hosts.end(), [&](const std::string& host) {
                return host_covers(analysis.full_name(host, service->meta.ns),
                                   analysis.full_name(sni, service->meta.ns));
              });
          if (covered) continue;
          analysis.find(
              "IST0106", service->meta, match.line,
              fmt::format("Schema validation error: SNI host \"{}\" is not a compatible subset of any of the "
                          "virtual service hosts: {}",
                          sni, go_list(service->hosts)));
        }
      }
    }
  }
  check_same_hosts(analysis);
  check_ingress_subsets(analysis);
}

}  // namespace sockmesh::config
