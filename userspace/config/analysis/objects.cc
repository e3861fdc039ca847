// Findings that need only one object, or those of its namespace: labels, names and the rules of Istio's
// validation that are no matter of reading.
#include <algorithm>
#include <set>

#include "config/analysis/context.h"
#include "config/resources/hostnames.h"
#include "model/ports.h"

namespace sockmesh::config {

namespace {

bool is_system(const std::string& ns) {
  return ns == "istio-system" || ns == "kube-system" || ns == "kube-public" || ns == "kube-node-lease";
}

bool label_is(const Labels& labels, const char* key, std::string_view value) {
  const auto found = labels.find(key);
  return found != labels.end() && found->second == value;
}

bool has_proxy(const Pod& pod) {
  return pod.meta.annotations.contains("sidecar.istio.io/status") ||
         std::any_of(pod.ports.begin(), pod.ports.end(), [](const ContainerPort& port) {
           return port.name == "http-envoy-prom" || port.port == model::kIstioPorts.metrics;
         });
}

void schema_error(Analysis& analysis, const Meta& meta, int line, const std::string& text) {
  analysis.find("IST0106", meta, line, "Schema validation error: " + text);
}

void validate_entry(Analysis& analysis, const ServiceEntry& entry) {
  const Meta& meta = entry.meta;
  const bool any_block = std::any_of(entry.addresses.begin(), entry.addresses.end(),
                                     [](const Prefix& prefix) { return !prefix.is_host(); });
  if (any_block && entry.resolution != Resolution::kNone && entry.resolution != Resolution::kStatic) {
    schema_error(analysis, meta, 0, "CIDR addresses are allowed only for NONE/STATIC resolution types");
  }
  if (!entry.endpoints.empty() && entry.workload_selector) {
    schema_error(analysis, meta, 0, "only one of WorkloadSelector or Endpoints is allowed in Service Entry");
  }
  if (entry.resolution == Resolution::kDnsRoundRobin && entry.endpoints.size() > 1) {
    schema_error(analysis, meta, 0, "there must only be 0 or 1 endpoint for resolution mode DNS_ROUND_ROBIN");
  }
  const bool dns = entry.resolution == Resolution::kDns || entry.resolution == Resolution::kDnsRoundRobin;
  for (const std::string& host : entry.hosts) {
    if (host == "*") schema_error(analysis, meta, 0, fmt::format("invalid host {}", host));
    if (dns && entry.endpoints.empty() && !entry.workload_selector && is_wildcard(host)) {
      schema_error(
          analysis, meta, 0,
          fmt::format("hosts must be FQDN if no endpoints are provided for resolution mode DNS: {}", host));
    }
  }
  std::set<uint16_t> numbers;
  std::set<std::string> names;
  for (const IstioPort& port : entry.ports) {
    if (!numbers.insert(port.number).second) {
      schema_error(analysis, meta, port.line,
                   fmt::format("service entry port number {} already defined", port.number));
    }
    if (!names.insert(port.name).second) {
      schema_error(analysis, meta, port.line,
                   fmt::format("service entry port name \"{}\" already defined", port.name));
    }
  }
  for (const WorkloadEntrySpec& endpoint : entry.endpoints) {
    if (endpoint.address.starts_with("unix://") && entry.resolution != Resolution::kStatic) {
      schema_error(analysis, meta, endpoint.line,
                   "UDS endpoints are allowed only for STATIC resolution type");
    }
    for (const auto& port : endpoint.ports) {
      if (!names.contains(port.first)) {
        schema_error(analysis, meta, endpoint.line,
                     fmt::format("endpoint port {} is not defined by the service entry", port.first));
      }
    }
  }
}

// One host and port with several protocols, in ServiceEntries that somebody sees together. Each entry is told
// once.
void check_protocols(Analysis& analysis) {
  std::set<const ServiceEntry*> told;
  for (const auto& def : analysis.registry) {
    if (!def->entry || told.contains(def->entry.get())) continue;
    for (const RegistryPort& port : def->ports) {
      std::set<std::string> entries{slashed(def->entry->meta)},
          protocols{std::string(to_string(port.protocol))};
      for (const auto& other : analysis.definitions_of(def->host)) {
        const RegistryPort* same = other->port(port.port);
        if (!other->entry || !same || !Analysis::seen_together(*def, *other)) continue;
        entries.insert(slashed(other->entry->meta));
        protocols.insert(std::string(to_string(same->protocol)));
      }
      if (protocols.size() < 2) continue;
      analysis.find("IST0177", def->entry->meta, port.line,
                    fmt::format("The ServiceEntries {} define the same host {} and port {} with different "
                                "protocols: {}",
                                fmt::join(entries, ", "), def->host, port.port, fmt::join(protocols, ", ")));
      told.insert(def->entry.get());
      break;
    }
  }
}

// Sockets of the file system that a Sidecar asks to listen on.
void check_sockets(Analysis& analysis, const Sidecar& sidecar) {
  const auto told = [&](const std::string& bind, int line) {
    if (!bind.starts_with("unix:")) return;
    analysis.find(
        "SM0206", sidecar.meta, line,
        fmt::format("Nobody listens on {}: this proxy listens on IP addresses only. With `bind: 127.0.0.1` "
                    "and captureMode NONE it is a port of the pod instead.",
                    bind));
  };
  for (const auto& egress : sidecar.egress) told(egress.bind, egress.line);
  for (const auto& ingress : sidecar.ingress) told(ingress.bind, ingress.line);
}

}  // namespace

void analyze_namespaces(Analysis& analysis) {
  std::set<std::string> injected;
  for (const auto& ns : analysis.resources.namespaces) {
    const Labels& labels = ns->meta.labels;
    const std::string& name = ns->meta.name;
    if (is_system(name)) continue;
    const bool legacy = labels.contains("istio-injection"), revision = labels.contains("istio.io/rev");
    const bool ambient = label_is(labels, "istio.io/dataplane-mode", "ambient");
    if (legacy && revision) {
      analysis.find(
          "IST0123", ns->meta, 0,
          "The namespace has more than one type of injection labels [istio-injection istio.io/rev], which "
          "may lead to undefined behavior. Make sure only one injection label exists.");
    }
    if (!legacy && !revision && !ambient) {
      analysis.find(
          "IST0102", ns->meta, 0,
          fmt::format("The namespace is not enabled for Istio injection. Run 'kubectl label namespace {0} "
                      "istio-injection=enabled' to enable it, or 'kubectl label namespace {0} "
                      "istio-injection=disabled' to explicitly mark it as not needing injection.",
                      name));
    }
    if (label_is(labels, "istio-injection", "enabled") || (revision && !legacy)) injected.insert(name);
  }
  for (const auto& pod : analysis.resources.pods) {
    if (pod->app_runs_as_proxy && !is_system(pod->meta.ns)) {
      analysis.find("IST0144", pod->meta, 0, "User ID (UID) 1337 is reserved for the sidecar proxy.");
    }
    if (!injected.contains(pod->meta.ns) || pod->host_network || has_proxy(*pod)) continue;
    if (label_is(pod->meta.labels, "sidecar.istio.io/inject", "false")) continue;
    if (label_is(pod->meta.annotations, "sidecar.istio.io/inject", "false")) continue;
    analysis.find(
        "IST0103", pod->meta, 0,
        fmt::format("The pod {} is missing the Istio proxy. This can often be resolved by restarting or "
                    "redeploying the workload.",
                    dotted(pod->meta)));
  }
}

void analyze_services(Analysis& analysis) {
  for (const auto& service : analysis.resources.services) {
    const Meta& meta = service->meta;
    if (is_system(meta.ns)) continue;
    const bool alias = service->type == "ExternalName";
    for (const ServicePort& port : service->ports) {
      if (port.transport == "UDP") continue;
      const Protocol protocol =
          service_port_protocol(port.port, port.name, port.transport, port.app_protocol);
      if (alias && (protocol == Protocol::kAuto || protocol == Protocol::kTcp)) {
        analysis.find(
            "IST0150", meta, port.line,
            "Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and unmatched "
            "traffic for ports serving TCP protocol from being forwarded correctly");
      } else if (protocol == Protocol::kAuto) {
        const std::string target =
            port.target.name.empty() ? fmt::format("{}", port.target.number ? port.target.number : port.port)
                                     : port.target.name;
        analysis.find(
            "IST0118", meta, port.line,
            fmt::format("Port name {} (port: {}, targetPort: {}) doesn't follow the naming convention of "
                        "Istio port.",
                        port.name, port.port, target));
      }
    }
    if (!alias && !service->headless && service->cluster_ips.empty() && !service->ports.empty()) {
      analysis.find(
          "SM0012", meta, 0,
          "The Service has no clusterIP: connections cannot be recognized as its own, only routes can name "
          "it. "
          "The API server assigns one when it is applied; in a folder of manifests set spec.clusterIP.");
    }
  }
}

void analyze_service_entries(Analysis& analysis) {
  for (const auto& entry : analysis.resources.service_entries) {
    validate_entry(analysis, *entry);
    if (entry->resolution == Resolution::kDynamicDns) {
      analysis.find(
          "SM0015", entry->meta, 0,
          "DYNAMIC_DNS is approximated: the name that a client asks for by SNI is not resolved here, the "
          "connection goes to the address that the client dialled.");
    }
    if (!entry->addresses.empty()) continue;
    for (const IstioPort& port : entry->ports) {
      const Protocol protocol = parse_protocol(port.protocol);
      if (protocol == Protocol::kTcp || protocol == Protocol::kAuto) {
        analysis.find("IST0134", entry->meta, port.line,
                      "ServiceEntry addresses are required for this protocol.");
      }
    }
  }
  check_protocols(analysis);
}

void analyze_sidecars(Analysis& analysis) {
  for (const auto& sidecar : analysis.resources.sidecars) check_sockets(analysis, *sidecar);
  std::map<std::string, std::vector<const Sidecar*>> plain, selecting;
  for (const auto& sidecar : analysis.resources.sidecars) {
    (sidecar->workload_selector ? selecting : plain)[sidecar->meta.ns].push_back(sidecar.get());
  }
  const auto names = [](const std::vector<const Sidecar*>& sidecars) {
    std::vector<std::string> out;
    out.reserve(sidecars.size());
    for (const Sidecar* sidecar : sidecars) out.push_back(sidecar->meta.name);
    std::sort(out.begin(), out.end());
    return go_list(out);
  };
  for (const auto& [ns, sidecars] : plain) {
    if (sidecars.size() < 2) continue;
    for (const Sidecar* sidecar : sidecars) {
      analysis.find(
          "IST0111", sidecar->meta, 0,
          fmt::format("The Sidecars {} in namespace \"{}\" have no workload selector, which can lead to "
                      "undefined behavior.",
                      names(sidecars), ns));
    }
  }
  for (const auto& pod : analysis.resources.pods) {
    std::vector<const Sidecar*> matching;
    for (const Sidecar* sidecar : selecting[pod->meta.ns]) {
      if (labels_contain(pod->meta.labels, *sidecar->workload_selector)) matching.push_back(sidecar);
    }
    if (matching.size() < 2) continue;
    for (const Sidecar* sidecar : matching) {
      analysis.find(
          "IST0110", sidecar->meta, 0,
          fmt::format(
              "The Sidecars {} in namespace \"{}\" select the same workload pod \"{}\", which can lead "
              "to undefined behavior.",
              names(matching), pod->meta.ns, dotted(pod->meta)));
    }
  }
}

}  // namespace sockmesh::config
