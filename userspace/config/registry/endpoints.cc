#include "config/registry/endpoints.h"

#include <algorithm>
#include <tuple>

namespace sockmesh::config {

namespace {

constexpr std::string_view kUnixScheme = "unix://";

Candidate of_pod(const ResourceIndex& index, const Pod& pod, const IpAddress& ip, uint16_t port) {
  Candidate candidate;
  candidate.endpoint.address = SocketAddress{ip, port};
  candidate.endpoint.locality = index.locality_of(pod);
  candidate.endpoint.workload = index.workload_of(pod);
  candidate.labels = &pod.meta.labels;
  candidate.node = pod.node;
  return candidate;
}

// Kubernetes makes slices for the families the Service has; a headless one has the pods' first family.
bool family_wanted(const Service& service, const Pod& pod, const IpAddress& ip) {
  if (service.cluster_ips.empty()) return ip.is_v6() == pod.ips.front().is_v6();
  return std::any_of(service.cluster_ips.begin(), service.cluster_ips.end(),
                     [&](const IpAddress& vip) { return vip.is_v6() == ip.is_v6(); });
}

void from_slices(const ResourceIndex& index, const std::vector<const EndpointSet*>& sets,
                 const RegistryPort& port, std::vector<Candidate>& out) {
  for (const EndpointSet* set : sets) {
    for (const EndpointSet::Subset& subset : set->subsets) {
      const auto at = std::find_if(subset.ports.begin(), subset.ports.end(),
                                   [&](const auto& p) { return p.name == port.name && p.protocol != "UDP"; });
      if (at == subset.ports.end()) continue;
      for (const EndpointSet::Address& address : subset.addresses) {
        if (!address.ready && address.terminating) continue;
        const Pod* pod = index.pod_at(address.ip);
        Candidate candidate;
        if (pod) {
          candidate = of_pod(index, *pod, address.ip, at->port);
        } else {
          candidate.endpoint.address = SocketAddress{address.ip, at->port};
          candidate.endpoint.locality = index.locality_of_node(address.node);
        }
        if (!address.node.empty()) candidate.node = address.node;
        candidate.endpoint.health = address.ready ? model::Health::kHealthy : model::Health::kUnhealthy;
        out.push_back(std::move(candidate));
      }
    }
  }
}

void from_selector(const ResourceIndex& index, const Service& service, const RegistryPort& port,
                   std::vector<Candidate>& out) {
  for (const Pod* pod : index.select_pods(service.meta.ns, service.selector)) {
    if (finished(*pod)) continue;
    const bool ready = service.publish_not_ready || (pod->ready.value_or(true) && !pod->terminating);
    if (!ready && pod->terminating) continue;
    const uint16_t number = target_port(*pod, port);
    if (number == 0) continue;
    for (const IpAddress& ip : pod->ips) {
      if (!family_wanted(service, *pod, ip)) continue;
      out.push_back(of_pod(index, *pod, ip, number));
      out.back().endpoint.health = ready ? model::Health::kHealthy : model::Health::kUnhealthy;
    }
  }
}

void add_workload(const WorkloadEntrySpec& spec, const Meta* meta, Discovery discovery,
                  const RegistryPort& port, std::vector<Candidate>& out) {
  uint16_t number = port.target.number != 0 ? port.target.number : port.port;
  if (const auto it = spec.ports.find(port.name); it != spec.ports.end()) number = it->second;
  Candidate candidate;
  if (const auto ip = IpAddress::parse(spec.address)) {
    candidate.endpoint.address = SocketAddress{*ip, number};
  } else if (spec.address.starts_with(kUnixScheme)) {
    candidate.endpoint.address = model::UnixPath{spec.address.substr(kUnixScheme.size())};
  } else if (discovery == Discovery::kStrictDns || discovery == Discovery::kLogicalDns) {
    candidate.endpoint.address = model::HostName{spec.address, number};
  } else {
    return;  // a name behind STATIC is nothing Envoy could dial
  }
  candidate.endpoint.weight = std::max<uint32_t>(spec.weight.value_or(1), 1);
  if (!spec.locality.empty())
    candidate.endpoint.locality = std::make_shared<const model::Locality>(parse_locality(spec.locality));
  candidate.labels = &spec.labels;
  if (meta) {
    auto workload = std::make_shared<model::Workload>();
    workload->name = workload->canonical_service = meta->name;
    workload->ns = meta->ns;
    workload->service_account = spec.service_account;
    candidate.endpoint.workload = std::move(workload);
  }
  out.push_back(std::move(candidate));
}

void from_entry(const ResourceIndex& index, const ServiceDef& def, const RegistryPort& port,
                std::vector<Candidate>& out) {
  const ServiceEntry& entry = *def.entry;
  for (const WorkloadEntrySpec& spec : entry.endpoints) add_workload(spec, nullptr, def.discovery, port, out);
  if (!entry.workload_selector) return;
  for (const WorkloadEntry* one : index.select_entries(entry.meta.ns, *entry.workload_selector))
    add_workload(one->spec, &one->meta, def.discovery, port, out);
  for (const Pod* pod : index.select_pods(entry.meta.ns, *entry.workload_selector)) {
    // Of a pod behind a ServiceEntry Istio hears only while it is ready.
    if (finished(*pod) || pod->terminating || !pod->ready.value_or(true) || pod->ips.empty()) continue;
    out.push_back(
        of_pod(index, *pod, pod->ips.front(), port.target.number != 0 ? port.target.number : port.port));
  }
}

}  // namespace

uint16_t target_port(const Pod& pod, const RegistryPort& port) {
  if (port.target.absent()) return port.port;
  if (port.target.number != 0) return port.target.number;
  for (const ContainerPort& one : pod.ports)
    if (one.name == port.target.name && one.protocol == "TCP") return one.port;
  return 0;
}

std::vector<Candidate> find_endpoints(const ResourceIndex& index, const ServiceDef& def,
                                      const RegistryPort& port) {
  std::vector<Candidate> found;
  if (def.service) {
    if (index.has_endpoints(def.ns, def.name)) {
      from_slices(index, index.endpoints_of(def.ns, def.name), port, found);
    } else if (!def.service->selector.empty()) {
      from_selector(index, *def.service, port, found);
    }
  } else if (def.entry) {
    from_entry(index, def, port, found);
  }
  std::stable_sort(found.begin(), found.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.endpoint.address, a.endpoint.health, a.node) <
           std::tie(b.endpoint.address, b.endpoint.health, b.node);
  });
  found.erase(std::unique(found.begin(), found.end(),
                          [](const Candidate& a, const Candidate& b) {
                            return a.endpoint.address == b.endpoint.address;
                          }),
              found.end());
  return found;
}

}  // namespace sockmesh::config
