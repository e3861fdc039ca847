// Objects that change where another's traffic goes. A service without an address of its own listens on every
// address of its ports; whoever is older keeps a place that two want (docs/istio.md#conflicts).
// Neither is an error to Istio; both have taken systems down.
#include <algorithm>

#include "config/analysis/context.h"
#include "config/registry/endpoints.h"
#include "config/resources/hostnames.h"

namespace sockmesh::config {

namespace {

constexpr size_t kNamedPods = 3;  // in a message; the others are counted

// Does the port of this definition make a listener on 0.0.0.0?
bool takes_every_address(const Analysis& analysis, const ServiceDef& def, const RegistryPort& port) {
  if (!def.addresses.empty() || is_http(port.protocol) || is_tls(port.protocol)) return false;
  if (def.discovery == Discovery::kAlias) return analysis.mesh->compatibility_version == "1.5";
  if (!def.entry || def.discovery == Discovery::kDynamic) return false;
  return def.discovery != Discovery::kNone || !def.entry->workload_selector;
}

// Who may be dialled directly, by port.
struct Dialled {
  explicit Dialled(const Resources& resources) {
    for (const auto& pod : resources.pods) {
      for (const ContainerPort& port : pod->ports) {
        if (port.protocol == "TCP") pods[port.port].push_back(pod.get());
      }
    }
    for (const auto& service : resources.services) {
      if (service->headless && !service->selector.empty()) headless.push_back(service.get());
    }
  }
  std::map<uint16_t, std::vector<const Pod*>> pods;
  std::vector<const Service*> headless;  // their pods have listeners of their own

  bool has_listener(const Pod& pod, uint16_t port) const {
    return std::any_of(headless.begin(), headless.end(), [&](const Service* service) {
      return service->meta.ns == pod.meta.ns && labels_contain(pod.meta.labels, service->selector) &&
             std::any_of(service->ports.begin(), service->ports.end(),
                         [&](const ServicePort& one) { return one.port == port; });
    });
  }
};

// Pods that listen on the port themselves: whoever dials them directly would be taken elsewhere.
std::vector<const Pod*> dialled_directly(const Dialled& dialled, const ServiceDef& by,
                                         const RegistryPort& port) {
  std::vector<const Pod*> out;
  const auto listening = dialled.pods.find(port.port);
  if (listening == dialled.pods.end()) return out;
  for (const Pod* pod : listening->second) {
    const bool behind_it = by.entry && by.entry->workload_selector && by.ns == pod->meta.ns &&
                           labels_contain(pod->meta.labels, *by.entry->workload_selector);
    if (!behind_it && !dialled.has_listener(*pod, port.port)) out.push_back(pod);
  }
  return out;
}

std::string pod_list(const std::vector<const Pod*>& pods) {
  std::vector<std::string> names;
  for (const Pod* pod : pods) {
    if (names.size() < kNamedPods) names.push_back(slashed(pod->meta));
  }
  std::string out = fmt::format("{}", fmt::join(names, ", "));
  if (pods.size() > kNamedPods) out += fmt::format(" and {} more", pods.size() - kNamedPods);
  return out;
}

std::string cure(const ServiceDef& def) {
  if (def.service) {
    return "Cures: leave the port out of the ExternalName Service; annotate it with "
           "networking.istio.io/exportTo: \".\"; "
           "or delete it and let a VirtualService lead to its target.";
  }
  return "Cures: give it an address (spec.addresses), let only its own namespace see it (spec.exportTo: "
         "[\".\"]), or use "
         "another port.";
}

void check_port(Analysis& analysis, const Dialled& dialled, const ServiceDef& def, const RegistryPort& port) {
  const auto pods = dialled_directly(dialled, def, port);
  if (pods.empty()) return;
  analysis.find(
      def.service ? "SM0004" : "SM0001", meta_of(def), port.line,
      fmt::format("Without an address, {} takes every connection to port {} that no other service owns, for "
                  "everybody who sees it: also direct ones to the pods {}, which then end at {}. {}",
                  def.host, port.port, pod_list(pods), def.host, cure(def)));
}

// A place that definitions compete for, the oldest first; each later one that somebody sees beside an earlier
// one loses there.
struct Claim {
  const ServiceDef* def;
  const RegistryPort* port;
};
const ServiceDef* held_by(const std::vector<Claim>& claims, size_t claim) {
  for (size_t older = 0; older < claim; ++older) {
    const ServiceDef& holder = *claims[older].def;
    if (holder.host != claims[claim].def->host && Analysis::seen_together(holder, *claims[claim].def))
      return &holder;
  }
  return nullptr;
}

}  // namespace

void analyze_shadowing(Analysis& analysis) {
  const Dialled dialled(analysis.resources);
  std::map<uint16_t, std::vector<Claim>> every_address;
  std::map<std::string, std::vector<Claim>> one_address;
  for (const auto& def : analysis.registry) {
    for (const RegistryPort& port : def->ports) {
      if (takes_every_address(analysis, *def, port)) {
        check_port(analysis, dialled, *def, port);
        every_address[port.port].push_back({def.get(), &port});
      }
      for (const Prefix& address : def->addresses) {
        const std::string text = address.is_host() ? address.address.to_string() : address.to_string();
        one_address[fmt::format("{} port {}", text, port.port)].push_back({def.get(), &port});
      }
    }
  }
  for (const auto& [port, claims] : every_address) {
    for (size_t i = 1; i < claims.size(); ++i) {
      const ServiceDef* holder = held_by(claims, i);
      if (!holder) continue;
      analysis.find(
          "SM0002", meta_of(*claims[i].def), claims[i].port->line,
          fmt::format(
              "Nothing gets to {} on port {}: neither has an address, and the older {} keeps the port, so "
              "all connections to it end at {}. {}",
              claims[i].def->host, port, name_of(*holder), holder->host, cure(*claims[i].def)));
    }
  }
  for (const auto& [place, claims] : one_address) {
    for (size_t i = 1; i < claims.size(); ++i) {
      const ServiceDef* holder = held_by(claims, i);
      if (!holder) continue;
      analysis.find(
          "SM0003", meta_of(*claims[i].def), claims[i].port->line,
          fmt::format(
              "{} goes to {}, not to {}: the older {} has the address too and keeps it. Cures: take the "
              "address out of one of them, or let them be seen by different namespaces (exportTo).",
              place, holder->host, claims[i].def->host, name_of(*holder)));
    }
  }
}

}  // namespace sockmesh::config
