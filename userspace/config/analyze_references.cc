// Names that lead nowhere: hosts, subsets, gateways, selectors; and what selects nobody.
#include <algorithm>
#include <set>

#include "config/analyze_context.h"
#include "config/endpoints.h"
#include "config/hostnames.h"

namespace sockmesh::config {

namespace {

void not_found(Analysis& analysis, const Meta& meta, int line, std::string_view what,
               const std::string& value) {
  analysis.error("IST0101", meta, line, fmt::format("Referenced {} not found: \"{}\"", what, value));
}

bool has_subset(const Analysis& analysis, const std::string& host, const std::string& subset,
                const std::string& ns) {
  const auto rules = analysis.rules_for(analysis.full_name(host, ns));
  return std::any_of(rules.begin(), rules.end(), [&](const DestinationRule* rule) {
    return std::any_of(rule->subsets.begin(), rule->subsets.end(),
                       [&](const Subset& one) { return one.name == subset; });
  });
}

void check_destination(Analysis& analysis, const VirtualService& service, const RouteDestination& route) {
  const Destination& destination = route.destination;
  const ServiceDef* def = analysis.find_host(destination.host, service.meta.ns);
  if (!def) return not_found(analysis, service.meta, route.line, "host", destination.host);
  if (!destination.subset.empty() &&
      !has_subset(analysis, destination.host, destination.subset, service.meta.ns)) {
    not_found(analysis, service.meta, route.line, "host+subset in destinationrule",
              destination.host + "+" + destination.subset);
  }
  if (destination.port == 0 && def->declared_ports > 1) {
    std::vector<uint16_t> ports;
    for (const RegistryPort& port : def->ports) ports.push_back(port.port);
    analysis.error(
        "IST0112", service.meta, route.line,
        fmt::format("This VirtualService routes to a service \"{}\" that exposes multiple ports {}. "
                    "Specifying a port in the destination is required to disambiguate.",
                    destination.host, go_list(ports)));
  } else if (destination.port != 0 && !def->port(destination.port)) {
    not_found(analysis, service.meta, route.line, "host:port",
              fmt::format("{}:{}", destination.host, destination.port));
  }
}

bool selects_pod(const Analysis& analysis, const std::string& ns, const Labels& selector) {
  return std::any_of(analysis.resources.pods.begin(), analysis.resources.pods.end(), [&](const auto& pod) {
    return (ns.empty() || pod->meta.ns == ns) && labels_contain(pod->meta.labels, selector);
  });
}

}  // namespace

void analyze_references(Analysis& analysis) {
  for (const auto& service : analysis.resources.virtual_services) {
    for (const std::string& gateway : service->gateways) {
      if (gateway != "mesh" && !analysis.find_gateway(gateway, service->meta.ns)) {
        not_found(analysis, service->meta, 0, "gateway", gateway);
      }
    }
    for (const auto* routes : {&service->tcp, &service->tls}) {
      for (const L4Route& route : *routes) {
        for (const RouteDestination& to : route.destinations) check_destination(analysis, *service, to);
      }
    }
    for (const auto& route : service->http) {
      for (const RouteDestination& to : route.destinations) check_destination(analysis, *service, to);
    }
  }
  // Without any pod known, what a selector matches is not known either.
  if (analysis.resources.pods.empty()) return;
  for (const auto& gateway : analysis.resources.gateways) {
    if (!selects_pod(analysis, "", gateway->selector)) {
      not_found(analysis, gateway->meta, 0, "selector", label_text(gateway->selector));
    }
  }
  for (const auto& sidecar : analysis.resources.sidecars) {
    if (sidecar->workload_selector && !selects_pod(analysis, sidecar->meta.ns, *sidecar->workload_selector)) {
      not_found(analysis, sidecar->meta, 0, "selector", label_text(*sidecar->workload_selector));
    }
  }
}

void analyze_destination_rules(Analysis& analysis) {
  for (const auto& rule : analysis.resources.destination_rules) {
    const std::string host = analysis.full_name(rule->host, rule->meta.ns);
    const ServiceDef* def = analysis.find_host(rule->host, rule->meta.ns);
    const bool known = def || (is_wildcard(host) &&
                               std::any_of(analysis.registry.begin(), analysis.registry.end(),
                                           [&](const auto& one) { return host_covers(host, one->host); }));
    if (!known) {
      analysis.warning(
          "IST0174", rule->meta, 0,
          fmt::format("The host {} defined in the DestinationRule does not match any services in the mesh.",
                      rule->host));
    }
    for (const Subset& subset : rule->subsets) {
      if (!def || subset.labels.empty() || analysis.has_endpoints(*def, subset.labels)) continue;
      analysis.error(
          "IST0173", rule->meta, subset.line,
          fmt::format("The Subset {} defined in the DestinationRule does not select any pods, which may lead "
                      "to 503 UH (NoHealthyUpstream).",
                      subset.name));
    }
    if (rule->workload_selector && !selects_pod(analysis, rule->meta.ns, *rule->workload_selector)) {
      analysis.warning("IST0127", rule->meta, 0,
                       "No matching workloads for this resource with the following labels: " +
                           label_text(*rule->workload_selector));
    }
  }
  for (const auto& entry : analysis.resources.service_entries) {
    if (!entry->workload_selector) continue;
    const bool vm = !analysis.index.select_entries(entry->meta.ns, *entry->workload_selector).empty();
    if (vm || selects_pod(analysis, entry->meta.ns, *entry->workload_selector)) continue;
    analysis.warning("IST0127", entry->meta, 0,
                     "No matching workloads for this resource with the following labels: " +
                         label_text(*entry->workload_selector));
  }
}

// Declared endpoints that no connection can reach: their Service does not exist, or has no port of their
// name.
void analyze_endpoints(Analysis& analysis) {
  std::map<std::string, const Service*> services;
  for (const auto& service : analysis.resources.services) services[slashed(service->meta)] = service.get();
  for (const auto& set : analysis.resources.endpoints) {
    if (set->service.empty() || set->meta.ns == "kube-system") continue;
    const auto found = services.find(set->meta.ns + "/" + set->service);
    if (found == services.end()) {
      analysis.warning("SM0009", set->meta, 0,
                       fmt::format("Nobody selects these endpoints: there is no Service {}/{}.", set->meta.ns,
                                   set->service));
      continue;
    }
    std::set<std::string> names;
    for (const ServicePort& port : found->second->ports) names.insert(port.name);
    for (const auto& subset : set->subsets) {
      for (const EndpointSet::Port& port : subset.ports) {
        if (names.contains(port.name)) continue;
        analysis.warning(
            "SM0009", set->meta, 0,
            fmt::format(
                "Nobody selects port {} (\"{}\") of these endpoints: the Service {} has no port of that "
                "name. Ports are matched by name.",
                port.port, port.name, slashed(found->second->meta)));
      }
    }
  }
  for (const auto& entry : analysis.resources.workload_entries) {
    const Labels& labels = entry->spec.labels;
    const auto selected_by_entry = [&](const auto& one) {
      return one->workload_selector && one->meta.ns == entry->meta.ns &&
             labels_contain(labels, *one->workload_selector);
    };
    const auto selected_by_service = [&](const auto& one) {
      return !one->selector.empty() && one->meta.ns == entry->meta.ns &&
             labels_contain(labels, one->selector);
    };
    const auto& r = analysis.resources;
    if (std::any_of(r.service_entries.begin(), r.service_entries.end(), selected_by_entry) ||
        std::any_of(r.services.begin(), r.services.end(), selected_by_service)) {
      continue;
    }
    analysis.warning(
        "SM0009", entry->meta, 0,
        fmt::format("Nobody selects this WorkloadEntry: no ServiceEntry or Service of namespace {} has a "
                    "selector that matches its labels ({}).",
                    entry->meta.ns, label_text(labels)));
  }
}

// Services that select the same pods have to agree on what a port of theirs is.
void analyze_workloads(Analysis& analysis) {
  struct Use {
    const Service* service;
    const RegistryPort* port;
  };
  std::map<std::string, std::vector<const ServiceDef*>> by_namespace;
  for (const auto& def : analysis.registry) {
    if (def->service && !def->service->selector.empty()) by_namespace[def->ns].push_back(def.get());
  }
  std::set<std::string> seen;  // workloads: their pods are alike
  for (const auto& pod : analysis.resources.pods) {
    const std::string workload = describe(*pod).name + "." + pod->meta.ns;
    if (!seen.insert(workload).second) continue;
    std::map<uint16_t, std::vector<Use>> uses;  // by target port
    for (const ServiceDef* def : by_namespace[pod->meta.ns]) {
      if (!labels_contain(pod->meta.labels, def->service->selector)) continue;
      for (const RegistryPort& port : def->ports) {
        if (const uint16_t target = target_port(*pod, port))
          uses[target].push_back({def->service.get(), &port});
      }
    }
    for (const auto& entry : uses) {
      std::set<std::string> services, protocols;
      std::set<uint16_t> ports;
      for (const Use& use : entry.second) {
        services.insert(use.service->meta.name);
        protocols.insert(std::string(to_string(use.port->protocol)));
        ports.insert(use.port->port);
      }
      if (services.size() < 2) continue;
      const auto list = [](const auto& set) { return fmt::format("[{}]", fmt::join(set, " ")); };
      if (protocols.size() > 1) {
        analysis.warning(
            "IST0116", pod->meta, 0,
            fmt::format("This deployment {} is associated with multiple services using port {} but different "
                        "protocols: {}",
                        workload, entry.first, list(protocols)));
      }
      if (ports.size() > 1) {
        analysis.warning(
            "IST0137", pod->meta, 0,
            fmt::format("This deployment {} is associated with multiple services {} using targetPort \"{}\" "
                        "but different ports: {}.",
                        workload, list(services), entry.first, list(ports)));
      }
    }
  }
}

}  // namespace sockmesh::config
