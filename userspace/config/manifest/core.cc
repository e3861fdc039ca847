#include <algorithm>

#include "config/manifest/formats.h"
#include "config/manifest/kinds.h"
#include "config/resources/egress_annotations.h"

namespace sockmesh::config {

namespace {

constexpr Words kServiceTypes{"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"};
constexpr Words kTransports{"TCP", "UDP", "SCTP"};
constexpr Words kTrafficDistributions{"PreferClose", "PreferSameZone", "PreferSameNode"};
constexpr Words kPhases{"Pending", "Running", "Succeeded", "Failed", "Unknown"};
constexpr Words kAddressTypes{"IPv4", "IPv6", "FQDN"};
constexpr Choice kInternalTrafficPolicies{std::pair{std::string_view("Cluster"), false},
                                          std::pair{std::string_view("Local"), true}};
constexpr Choice kConditionStatuses{std::pair{std::string_view("True"), true},
                                    std::pair{std::string_view("False"), false},
                                    std::pair{std::string_view("Unknown"), false}};

// "None" in place of an address.
struct ClusterIp {
  bool none = false;
  IpAddress ip;
};
Result<ClusterIp> parse_cluster_ip(std::string_view text) {
  if (text == "None") return ClusterIp{true, {}};
  const auto ip = IpAddress::parse(text);
  if (!ip) return fail("{}: expected an IP address or None", quoted(text));
  return ClusterIp{false, *ip};
}
constexpr Format<ClusterIp, ScalarType::kText, parse_cluster_ip> kClusterIp;

// A targetPort: digits are a number, anything else the name of a container port.
Result<PortRef> parse_port_ref(std::string_view text) {
  if (text.find_first_not_of("0123456789") == std::string_view::npos) {
    SOCKMESH_TRY(number, formats::port(text));
    return PortRef{number, {}};
  }
  SOCKMESH_TRY(name, formats::port_name(text));
  return PortRef{0, name};
}
constexpr Format<PortRef, ScalarType::kNumberOrText, parse_port_ref> kPortRef;

// A port of which any of these is unreadable is left out: its connections pass through untouched, rather than
// go to a wrong port.
bool read_service_port(const Fields& in, ServicePort& port) {
  port.line = in.line();
  const bool good =
      all_good({in.read("port", port.port, kPort, kRequired), in.read("targetPort", port.target, kPortRef),
                in.read("protocol", port.transport, kTransports), in.read("name", port.name, kPortName)});
  if (std::string app_protocol; in.has("appProtocol") && in.read("appProtocol", app_protocol, kText)) {
    port.app_protocol = std::move(app_protocol);
  }
  in.read("nodePort", port.node_port, kPort);
  return good;
}

bool read_endpoint_port(const Fields& in, EndpointSet::Port& port) {
  if (!in.has("port")) return false;  // "all ports", which no Service means
  return all_good({in.read("port", port.port, kPort), in.read("name", port.name, kPortName),
                   in.read("protocol", port.protocol, kTransports)});
}

void read_target_ref(const Fields& in, EndpointSet::Address& address) {
  const Fields ref = in.child("targetRef");
  ref.read("kind", address.target_kind, kText);
  ref.read("name", address.target_name, kText);
  ref.read("namespace", address.target_ns, kText);
}

void read_owner(const Fields& metadata, Pod& pod) {
  metadata.each("ownerReferences", [&](const Fields& owner) {
    bool controller = false;
    owner.read("controller", controller, kBool);
    if (!controller) return true;
    return all_good({owner.read("kind", pod.owner_kind, kText), owner.read("name", pod.owner_name, kText)});
  });
}

void read_container_ports(const Fields& container, Pod& pod) {
  container.each("ports", [&](const Fields& in) {
    ContainerPort port;
    const bool good =
        all_good({in.read("containerPort", port.port, kPort, kRequired),
                  in.read("name", port.name, kPortName), in.read("protocol", port.protocol, kTransports)});
    if (good) pod.ports.push_back(std::move(port));
    return good;
  });
}

constexpr uint32_t kProxyUid = 1337;

// Whether it says that processes run as the proxy's user.
bool runs_as_proxy(const Fields& spec) {
  uint32_t user = 0;
  spec.child("securityContext").read("runAsUser", user, kCount);
  return user == kProxyUid;
}

void read_pod_status(const Fields& status, Pod& pod) {
  status.each("podIPs", [&](const Fields& in) {
    IpAddress ip;
    const bool good = in.read("ip", ip, kIp, kRequired);
    if (good) pod.ips.push_back(ip);
    return good;
  });
  if (IpAddress ip; status.has("podIP") && status.read("podIP", ip, kIp) &&
                    std::find(pod.ips.begin(), pod.ips.end(), ip) == pod.ips.end()) {
    pod.ips.insert(pod.ips.begin(), ip);
  }
  status.read("phase", pod.phase, kPhases);
  // Meshes written by hand say `ready: false` in place of the condition, which wins when both are there.
  if (bool ready = true; status.has("ready") && status.read("ready", ready, kBool)) pod.ready = ready;
  status.each("conditions", [&](const Fields& condition) {
    std::string type;
    condition.read("type", type, kText);
    if (type != "Ready") return true;
    bool ready = false;  // an unreadable status is not "True": no traffic
    const bool good = condition.read("status", ready, kConditionStatuses, kRequired);
    pod.ready = ready;
    return good;
  });
}

// Whether an annotation that restricts the pod is there and could not be read.
bool lost_policy(const Fields& metadata, const Meta& meta) {
  const yaml::Node* annotations = metadata.node("annotations");
  if (meta.kind != "Pod" || annotations == nullptr) return false;
  if (!annotations->is_mapping()) return true;
  const yaml::Node* block = annotations->find(kEgressBlock);  // a permit less only closes
  return block != nullptr && !block->is_null() && !meta.annotations.contains(kEgressBlock);
}

}  // namespace

bool read_meta(const Fields& object, bool namespaced, Meta& meta) {
  const Fields metadata = object.child("metadata");
  const bool named = metadata.read("name", meta.name, kObjectName, kRequired);
  meta.ns = namespaced ? "default" : "";
  bool placed = true;
  if (namespaced) placed = metadata.read("namespace", meta.ns, kNamespaceName);
  object.context().begin_object(meta.ns.empty() ? fmt::format("{} {}", meta.kind, meta.name)
                                                : fmt::format("{} {}/{}", meta.kind, meta.ns, meta.name));
  if (!named || !placed || meta.name.empty()) return object.drop();
  // A label less: selected by fewer. But fewer may be the Sidecar that restricts a pod.
  if (!metadata.map("labels", meta.labels, kText) && meta.kind == "Pod") object.drop();
  if (!metadata.map("annotations", meta.annotations, kText) && lost_policy(metadata, meta)) object.drop();
  meta.annotations.erase(
      "kubectl.kubernetes.io/last-applied-configuration");  // the object once more, as text
  if (WallTime created;
      metadata.has("creationTimestamp") && metadata.read("creationTimestamp", created, kTimestamp)) {
    meta.created = created;
  }
  return true;
}

bool read_selector(const Fields& in, std::string_view key, Labels& out) {
  return in.map(key, out, kText, kVital);
}

void read_service(const Fields& object, Meta&& meta, Resources& out) {
  Service service{std::move(meta)};
  const Fields spec = object.child("spec");
  spec.read("type", service.type, kServiceTypes, kVital);
  // Without the address it was given a Service would be taken for one without any.
  ClusterIp first;
  std::vector<ClusterIp> all;
  spec.read("clusterIP", first, kClusterIp, kVital);
  spec.list("clusterIPs", all, kClusterIp, kVital);
  if (all.empty() && spec.has("clusterIP")) all.push_back(first);
  for (const ClusterIp& one : all) {
    if (one.none) {
      service.headless = true;
    } else {
      service.cluster_ips.push_back(one.ip);
    }
  }
  if (service.type == "ExternalName") {
    spec.read("externalName", service.external_name, kHostOrIp, kRequiredVital);
  }
  spec.list("externalIPs", service.external_ips, kIpText);
  object.child("status").child("loadBalancer").each("ingress", [&](const Fields& ingress) {
    std::string ip;
    const bool good = ingress.read("ip", ip, kIpText);
    if (!ip.empty()) service.load_balancer_ips.push_back(ip);
    return good;
  });
  read_selector(spec, "selector", service.selector);
  spec.each("ports", [&](const Fields& in) {
    ServicePort port;
    if (!read_service_port(in, port)) return false;
    for (const ServicePort& other : service.ports) {
      if (other.port == port.port && other.transport == port.transport) {
        in.report("port", fmt::format("'{}': expected each port once, line {} has it already", port.port,
                                      other.line));
        return false;
      }
    }
    service.ports.push_back(std::move(port));
    return true;
  });
  spec.read("publishNotReadyAddresses", service.publish_not_ready, kBool);
  spec.read("internalTrafficPolicy", service.internal_traffic_local, kInternalTrafficPolicies);
  spec.read("trafficDistribution", service.traffic_distribution, kTrafficDistributions);
  keep(out.services, std::move(service), object);
}

void read_pod(const Fields& object, Meta&& meta, Resources& out) {
  Pod pod{std::move(meta)};
  const Fields metadata = object.child("metadata"), spec = object.child("spec"),
               status = object.child("status");
  pod.terminating = metadata.has("deletionTimestamp");
  read_owner(metadata, pod);
  spec.read("nodeName", pod.node, kObjectName);
  spec.read("serviceAccountName", pod.service_account, kObjectName);
  spec.read("hostNetwork", pod.host_network, kBool);
  pod.app_runs_as_proxy = runs_as_proxy(spec);
  spec.each("containers", [&](const Fields& container) {
    std::string name;
    container.read("name", name, kText);
    if (name != "istio-proxy" && runs_as_proxy(container)) pod.app_runs_as_proxy = true;
    return read_container_ports(container, pod), true;
  });
  spec.each("initContainers", [&](const Fields& container) {
    std::string restart;
    container.read("restartPolicy", restart, kText);
    if (restart == "Always") read_container_ports(container, pod);  // a native sidecar
    return true;
  });
  read_pod_status(status, pod);
  keep(out.pods, std::move(pod), object);
}

void read_endpoints(const Fields& object, Meta&& meta, Resources& out) {
  EndpointSet set{std::move(meta)};
  set.service = set.meta.name;
  object.each("subsets", [&](const Fields& in) {
    EndpointSet::Subset subset;
    const auto addresses = [&](std::string_view key, bool ready) {
      in.each(key, [&](const Fields& entry) {
        EndpointSet::Address address;
        address.ready = address.serving = ready;
        entry.read("nodeName", address.node, kText);
        read_target_ref(entry, address);
        if (!entry.read("ip", address.ip, kIp, kRequired)) return false;
        subset.addresses.push_back(std::move(address));
        return true;
      });
    };
    addresses("addresses", true);
    addresses("notReadyAddresses", false);
    in.each("ports", [&](const Fields& entry) {
      EndpointSet::Port port;
      if (!read_endpoint_port(entry, port)) return false;
      subset.ports.push_back(std::move(port));
      return true;
    });
    set.subsets.push_back(std::move(subset));
    return true;
  });
  keep(out.endpoints, std::move(set), object);
}

void read_endpoint_slice(const Fields& object, Meta&& meta, Resources& out) {
  EndpointSet set{std::move(meta)};
  if (const auto label = set.meta.labels.find("kubernetes.io/service-name"); label != set.meta.labels.end()) {
    set.service = label->second;
  }
  std::string type;
  object.read("addressType", type, kAddressTypes, kVital);
  set.fqdn = type == "FQDN";
  EndpointSet::Subset subset;
  object.each("endpoints", [&](const Fields& in) {
    EndpointSet::Address address;
    const Fields conditions = in.child("conditions");
    // An endpoint of which "ready" is unreadable gets no traffic.
    if (!conditions.read("ready", address.ready, kBool)) address.ready = false;
    address.serving = address.ready;
    conditions.read("serving", address.serving, kBool);
    conditions.read("terminating", address.terminating, kBool);
    in.read("nodeName", address.node, kText);
    in.read("zone", address.zone, kText);
    read_target_ref(in, address);
    if (set.fqdn) return true;
    std::vector<IpAddress> ips;
    if (!in.list("addresses", ips, kIp, kRequired)) return false;
    for (const IpAddress& ip : ips) {
      address.ip = ip;
      subset.addresses.push_back(address);
    }
    return true;
  });
  object.each("ports", [&](const Fields& in) {
    EndpointSet::Port port;
    if (!read_endpoint_port(in, port)) return false;
    subset.ports.push_back(std::move(port));
    return true;
  });
  subset.addresses.shrink_to_fit();  // most of a big mesh is this
  set.subsets.push_back(std::move(subset));
  keep(out.endpoints, std::move(set), object);
}

void read_node(const Fields& object, Meta&& meta, Resources& out) {
  keep(out.nodes, Node{std::move(meta)}, object);
}

void read_namespace(const Fields& object, Meta&& meta, Resources& out) {
  keep(out.namespaces, Namespace{std::move(meta)}, object);
}

}  // namespace sockmesh::config
