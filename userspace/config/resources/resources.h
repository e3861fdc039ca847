// The resources that decide where TCP connections go, as plain values: what Kubernetes and Istio objects say,
// after reading and before any decision. One struct per kind, only the fields that matter for TCP. The reader
// fills them (config/manifest), the compiler reads them (config/compiler). Immutable after reading, shared by
// pointer: any thread.
//
// Spellings: v1, v1beta1 and v1alpha3 of an Istio kind read alike. Optional fields are std::optional where
// "absent" and "zero" differ. `line` is the 1-based line in `Meta::file` of the part it sits in.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "model/snapshot.h"

namespace sockmesh::config {

using Labels = std::map<std::string, std::string>;

struct Meta {
  std::string kind, name, ns;
  Labels labels, annotations;
  std::optional<WallTime> created;          // absent: oldest of all
  std::shared_ptr<const std::string> file;  // never null; "" when not from a file
  int line = 0;
  model::OriginPtr origin(int at_line = 0) const;  // at_line 0: the object's own line
};

// ---- Kubernetes core ----

struct PortRef {  // a targetPort: number, container port name, or absent (= port)
  uint16_t number = 0;
  std::string name;
  bool absent() const { return number == 0 && name.empty(); }
};

struct ServicePort {
  std::string name;
  uint16_t port = 0;
  PortRef target;
  std::string transport = "TCP";  // TCP, UDP, SCTP
  std::optional<std::string> app_protocol;
  uint16_t node_port = 0;
  int line = 0;
};

struct Service {
  Meta meta;
  std::string type = "ClusterIP";      // ClusterIP, NodePort, LoadBalancer, ExternalName
  std::vector<IpAddress> cluster_ips;  // empty: headless ("None") or ExternalName
  bool headless = false;
  std::string external_name;
  std::vector<std::string> external_ips, load_balancer_ips;
  Labels selector;
  std::vector<ServicePort> ports;
  bool publish_not_ready = false;
  bool internal_traffic_local = false;  // internalTrafficPolicy: Local
  std::string traffic_distribution;     // "", PreferClose, PreferSameZone, PreferSameNode
};

struct ContainerPort {
  std::string name;
  uint16_t port = 0;
  std::string protocol = "TCP";
};

struct Pod {
  Meta meta;
  std::vector<IpAddress> ips;
  std::string node, service_account, phase;  // phase "" counts as Running
  std::optional<bool> ready;                 // condition Ready; absent: ready
  bool terminating = false;                  // deletionTimestamp set
  bool host_network = false;
  bool app_runs_as_proxy = false;  // an application's container has the proxy's uid, 1337
  std::vector<ContainerPort> ports;
  std::string owner_kind, owner_name;  // controller
};

// One shape for Endpoints and EndpointSlice.
struct EndpointSet {
  Meta meta;
  std::string service;  // Endpoints: its own name; EndpointSlice: label kubernetes.io/service-name
  bool fqdn = false;    // addressType FQDN: ignored by Istio
  struct Port {
    std::string name;  // matched against the service port's name
    uint16_t port = 0;
    std::string protocol = "TCP";
  };
  struct Address {
    IpAddress ip;
    bool ready = true, serving = true, terminating = false;
    std::string node, zone, target_kind, target_name, target_ns;  // targetRef
  };
  struct Subset {  // EndpointSlice: exactly one
    std::vector<Port> ports;
    std::vector<Address> addresses;
  };
  std::vector<Subset> subsets;
};

struct Node {
  Meta meta;  // labels carry the locality
};

struct Namespace {
  Meta meta;
};

// ---- Istio networking ----

struct IstioPort {
  uint16_t number = 0;
  std::string name, protocol;  // protocol as written
  uint16_t target = 0;         // 0: absent
  int line = 0;
};

struct WorkloadEntrySpec {
  std::string address;                    // IP, host name, or unix:///path
  std::map<std::string, uint16_t> ports;  // by port name
  Labels labels;
  std::string network, locality, service_account;
  std::optional<uint32_t> weight;
  int line = 0;
};

struct WorkloadEntry {
  Meta meta;
  WorkloadEntrySpec spec;
};

enum class Resolution : uint8_t { kNone, kStatic, kDns, kDnsRoundRobin, kDynamicDns };

struct ServiceEntry {
  Meta meta;
  std::vector<std::string> hosts;
  std::vector<Prefix> addresses;
  std::vector<IstioPort> ports;
  bool mesh_internal = false;
  Resolution resolution = Resolution::kNone;
  std::vector<WorkloadEntrySpec> endpoints;
  std::optional<Labels> workload_selector;
  std::vector<std::string> export_to;
};

struct Destination {
  std::string host, subset;
  uint16_t port = 0;  // 0: absent
};

struct RouteDestination {
  Destination destination;
  std::optional<int64_t> weight;
  int line = 0;
};

struct L4Match {  // a match block of `tcp` or `tls`
  std::vector<Prefix> destination_subnets;
  uint16_t port = 0;
  Labels source_labels;
  std::string source_namespace;
  std::vector<std::string> gateways;
  std::vector<std::string> sni_hosts;  // tls only
  int line = 0;
};

struct L4Route {
  std::vector<L4Match> matches;  // empty: matches everything
  std::vector<RouteDestination> destinations;
  int line = 0;
};

struct VirtualService {
  Meta meta;
  std::vector<std::string> hosts, gateways, export_to;  // gateways empty: mesh
  std::vector<L4Route> tcp, tls;
  struct HttpRoute {  // not applied at layer 4: kept so that explain and analyze can say so
    std::vector<RouteDestination> destinations;
    bool has_match = false;
    int line = 0;
  };
  std::vector<HttpRoute> http;
};

struct TrafficPolicy {
  struct LoadBalancer {
    std::string simple;  // "", LEAST_REQUEST, LEAST_CONN, ROUND_ROBIN, RANDOM, PASSTHROUGH, UNSPECIFIED
    bool consistent_hash = false;  // any consistentHash block
    bool use_source_ip = false;
    bool maglev = false;
    uint32_t table_size = 0;  // ringHash.minimumRingSize or maglev.tableSize; 0: default
    std::optional<model::SlowStart> warmup;
    struct Distribute {
      std::string from;                    // "region/zone/*"
      std::map<std::string, uint32_t> to;  // the same form, percent
    };
    struct Failover {
      std::string from, to;  // regions
    };
    std::optional<bool> locality_enabled;
    std::vector<Distribute> distribute;
    std::vector<Failover> failover;
    std::vector<std::string> failover_priority;  // labels, "key" or "key=value"
  };
  struct ConnectionPool {
    std::optional<uint32_t> max_connections;
    std::optional<Duration> connect_timeout, idle_timeout, max_connection_duration;
    std::optional<model::Keepalive> keepalive;
  };
  struct Outlier {
    std::optional<uint32_t> consecutive_5xx, consecutive_gateway, consecutive_local_origin;
    bool split_external_local_origin = false;
    bool has_consecutive_errors = false;  // the deprecated field, without effect
    std::optional<Duration> interval, base_ejection_time;
    std::optional<uint32_t> max_ejection_percent, min_health_percent;
  };
  std::optional<LoadBalancer> load_balancer;
  std::optional<ConnectionPool> connection_pool;
  std::optional<Outlier> outlier;
  std::string tls_mode;  // "", DISABLE, SIMPLE, MUTUAL, ISTIO_MUTUAL
  bool has_ca_certificates = false, has_credential_name = false;
  std::optional<model::ProxyProtocol> proxy_protocol;
  struct PortLevel;
  std::vector<PortLevel> port_level;
  int line = 0;
};
struct TrafficPolicy::PortLevel {
  uint16_t port = 0;
  TrafficPolicy policy;  // its own port_level stays empty
};

struct Subset {
  std::string name;
  Labels labels;
  std::optional<TrafficPolicy> policy;
  int line = 0;
};

struct DestinationRule {
  Meta meta;
  std::string host;
  std::optional<TrafficPolicy> policy;
  std::vector<Subset> subsets;
  std::vector<std::string> export_to;
  std::optional<Labels> workload_selector;
};

struct GatewayServer {
  IstioPort port;
  std::vector<std::string> hosts;
  std::string bind, name;
  std::string tls_mode;  // "", PASSTHROUGH, AUTO_PASSTHROUGH, SIMPLE, MUTUAL, ...
  int line = 0;
};

struct Gateway {
  Meta meta;
  std::string generated_name;  // made of a listener of a Kubernetes Gateway: what its routes call it; "" else
  Labels selector;
  std::vector<GatewayServer> servers;
};

struct OutboundTrafficPolicy {
  bool registry_only = false;
  std::optional<Destination> egress_proxy;
  int line = 0;
};

struct Sidecar {
  Meta meta;
  std::optional<Labels> workload_selector;
  struct Egress {
    std::optional<IstioPort> port;
    std::string bind;
    bool capture_none = false;       // captureMode: NONE
    std::vector<std::string> hosts;  // "ns/dns"
    int line = 0;
  };
  struct Ingress {
    IstioPort port;
    std::string bind, default_endpoint;
    std::optional<TrafficPolicy::ConnectionPool> connection_pool;
    int line = 0;
  };
  std::vector<Egress> egress;
  std::vector<Ingress> ingress;
  std::optional<OutboundTrafficPolicy> outbound;
  std::optional<TrafficPolicy::ConnectionPool> inbound_connection_pool;
};

// AuthorizationPolicy, PeerAuthentication, RequestAuthentication, Telemetry, WasmPlugin (meta.kind tells):
// kept so that analyze can say what does not hold. Nothing here is applied.
struct Policy {
  Meta meta;
  std::optional<Labels> selector;
  bool has_target = false;  // targetRef, targetRefs
};

// ---- Gateway API ----

struct K8sGateway {
  Meta meta;
  std::string class_name;
  struct Listener {
    std::string name, hostname, protocol, tls_mode;
    uint16_t port = 0;
    std::string from = "Same";  // allowedRoutes.namespaces.from
    std::optional<Labels> from_selector;
    int line = 0;
  };
  std::vector<Listener> listeners;
  std::vector<std::string> addresses;
};

struct K8sRoute {  // TCPRoute, TLSRoute (meta.kind tells)
  Meta meta;
  struct ParentRef {
    std::string kind = "Gateway", ns, name, section;
    uint16_t port = 0;
  };
  struct BackendRef {
    std::string kind = "Service", ns, name;
    uint16_t port = 0;
    std::optional<int64_t> weight;
    int line = 0;
  };
  struct Rule {
    std::vector<BackendRef> backends;
    int line = 0;
  };
  std::vector<ParentRef> parents;
  std::vector<std::string> hostnames;
  std::vector<Rule> rules;
};

struct ReferenceGrant {
  Meta meta;
  struct From {
    std::string kind, ns;
  };
  struct To {
    std::string kind, name;
  };
  std::vector<From> from;
  std::vector<To> to;
};

// ---- MeshConfig (ConfigMap `istio` in the root namespace, key `mesh`) ----

struct MeshConfig {
  Meta meta;
  bool outbound_registry_only = false;
  bool inbound_localhost = false;  // inboundTrafficPolicy.mode LOCALHOST
  std::optional<Duration> connect_timeout, protocol_detection_timeout, dns_refresh_rate;
  std::optional<model::Keepalive> keepalive;
  std::string access_log_file, access_log_format;
  model::AccessLogEncoding access_log_encoding = model::AccessLogEncoding::kText;
  std::string root_namespace = "istio-system", trust_domain = "cluster.local", domain = "cluster.local",
              mesh_id;
  std::vector<std::string> default_service_export_to, default_virtual_service_export_to,
      default_destination_rule_export_to;
  std::optional<bool> locality_enabled;
  std::vector<TrafficPolicy::LoadBalancer::Distribute> distribute;
  std::vector<TrafficPolicy::LoadBalancer::Failover> failover;
  std::vector<std::string> failover_priority;
  std::optional<TrafficPolicy> default_traffic_policy;  // connectionPool and outlierDetection only
  std::string compatibility_version;                    // "", "1.5"
  std::optional<Duration> drain_duration, termination_drain_duration;  // defaultConfig
  bool gateway_proxy_protocol = false;  // defaultConfig.gatewayTopology.proxyProtocol
  // Ours: `sockmesh.egress` in the same document, and pod annotations of the same meaning.
  std::vector<Prefix> egress_permit, egress_block;
  bool egress_block_all = false;
};

// Everything one source knows. Compilation does not depend on the order inside a vector.
template <typename T>
using List = std::vector<std::shared_ptr<const T>>;

struct Resources {
  List<Service> services;
  List<Pod> pods;
  List<EndpointSet> endpoints;
  List<Node> nodes;
  List<Namespace> namespaces;
  List<WorkloadEntry> workload_entries;
  List<ServiceEntry> service_entries;
  List<VirtualService> virtual_services;
  List<DestinationRule> destination_rules;
  List<Gateway> gateways;
  List<Sidecar> sidecars;
  List<Policy> policies;
  List<K8sGateway> k8s_gateways;
  List<K8sRoute> k8s_routes;
  List<ReferenceGrant> reference_grants;
  std::shared_ptr<const MeshConfig> mesh;  // null: Istio's defaults
};

}  // namespace sockmesh::config
