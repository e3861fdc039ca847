// Snapshot: everything the data plane needs to know to decide where a connection goes, as one value. The
// compiler makes it of what was configured (config/compiler/compiler.h); each worker reads the current one, a
// connection keeps the one that routed it. Names and semantics are Envoy's and Istio's (listener, filter
// chain, cluster, endpoint); the lookup is in match.h. Nothing changes after publication, so any thread may
// read.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "base/flat_map.h"
#include "base/rare.h"
#include "base/text.h"
#include "model/chain_index.h"
#include "model/origin.h"

namespace sockmesh::model {

// --- names that Istio gives to what it generates itself ---
inline constexpr char kPassthroughCluster[] = "PassthroughCluster";
inline constexpr char kBlackHoleCluster[] = "BlackHoleCluster";
inline constexpr char kInboundPassthroughCluster[] = "InboundPassthroughCluster";
inline constexpr char kVirtualOutbound[] = "virtualOutbound";
inline constexpr char kVirtualInbound[] = "virtualInbound";

enum class Direction : uint8_t { kOutbound, kInbound };

// Who the other end of a connection is, for metric labels and logs. Empty strings print as "unknown".
struct Workload {
  std::string name, ns, app, version, canonical_service, canonical_revision, cluster_id, node,
      service_account;
};
using WorkloadPtr = std::shared_ptr<const Workload>;
using WorkloadTable = FlatMap<IpAddress, WorkloadPtr>;

struct Locality {
  std::string region, zone, subzone;
  auto operator<=>(const Locality&) const = default;
};

enum class Health : uint8_t { kHealthy, kUnhealthy, kDraining };  // what the control plane assigned

struct HostName {  // to be resolved by DNS at run time
  Text name;
  uint16_t port = 0;
  auto operator<=>(const HostName&) const = default;
};
struct UnixPath {
  Text path;
  auto operator<=>(const UnixPath&) const = default;
};
using EndpointAddress = std::variant<SocketAddress, HostName, UnixPath>;
std::string to_string(
    const EndpointAddress& address);  // "10.0.0.1:80", "[::1]:80", "db.example.com:5432", "unix:///run/x"

struct Endpoint {
  EndpointAddress address;
  uint32_t weight = 1;    // 0 is never chosen
  uint16_t priority = 0;  // 0 first; by locality failover
  Health health = Health::kHealthy;
  std::shared_ptr<const Locality> locality;  // may be null
  WorkloadPtr workload;                      // null for addresses that are not a known workload
};

enum class ClusterType : uint8_t { kEds, kStatic, kStrictDns, kLogicalDns, kOriginalDst };
std::string_view to_string(ClusterType type);  // Envoy's: "EDS", "STATIC", ...

enum class LbPolicy : uint8_t {
  kLeastRequest,  // Istio's default: power of two choices on active connections
  kRoundRobin,
  kRandom,
  kRingHash,  // consistentHash.useSourceIp (and the hashes that TCP lacks: random)
  kMaglev,
  kClusterProvided,  // ORIGINAL_DST
};
std::string_view to_string(LbPolicy policy);

struct Keepalive {  // presence alone turns SO_KEEPALIVE on; absent fields keep the system's values
  std::optional<uint32_t> probes;
  std::optional<std::chrono::seconds> time, interval;
};

struct OutlierDetection {                       // docs/istio.md#destinationrule: connect results alone count
  std::optional<uint32_t> consecutive_5xx = 5;  // 0 or absent: not enforced
  std::optional<uint32_t> consecutive_gateway;  // absent: not enforced
  std::optional<uint32_t> consecutive_local_origin = 5;
  bool split_external_local_origin = false;
  Duration interval = std::chrono::seconds(10);
  Duration base_ejection_time = std::chrono::seconds(30);
  Duration max_ejection_time = std::chrono::seconds(300);
  uint32_t max_ejection_percent = 10;
};

struct SlowStart {  // DestinationRule loadBalancer.warmup
  Duration duration{};
  uint32_t minimum_percent = 10;
  double aggression = 1.0;
};

struct LocalityWeight {  // `distribute`: share of traffic by endpoint locality, percent of the total
  Locality to;
  uint32_t weight = 0;
};

enum class ProxyProtocol : uint8_t { kNone, kV1, kV2 };

struct Cluster {
  Text name;  // "outbound|9000|v1|echo.default.svc.cluster.local", "inbound|9000||", "PassthroughCluster"
  ClusterType type = ClusterType::kEds;
  Direction direction = Direction::kOutbound;

  // How a host is chosen.
  LbPolicy lb = LbPolicy::kLeastRequest;
  uint32_t hash_table_size = 0;  // ring minimum or maglev table; 0: Istio's default (1024, 65537)
  Rare<SlowStart> slow_start;
  Rare<OutlierDetection> outlier;
  uint32_t panic_threshold_percent = 0;  // below this share of healthy hosts, all hosts are used; 0: never
  std::vector<LocalityWeight> locality_weights;  // empty: by priority only
  std::vector<Endpoint> endpoints;               // HostName ones only in DNS types
  Duration dns_refresh = std::chrono::seconds(60);

  // How it is dialled.
  Duration connect_timeout = std::chrono::seconds(10);
  std::optional<uint32_t> max_connections;  // per cluster and agent; absent: unlimited
  Rare<Keepalive> keepalive;
  Rare<IpAddress> bind_source_v4, bind_source_v6;  // inbound: 127.0.0.6, ::6
  std::optional<uint16_t> original_dst_port;       // ORIGINAL_DST: dial this port instead of the client's
  ProxyProtocol proxy_protocol = ProxyProtocol::kNone;  // header we send upstream

  // What people ask about it.
  Text service_host, service_name, service_namespace, subset;  // "" for built-ins
  uint16_t service_port = 0;
  OriginPtr origin;            // the Service or ServiceEntry
  OriginPtr destination_rule;  // null when none applies
};
using ClusterPtr = std::shared_ptr<const Cluster>;

struct WeightedCluster {
  Text cluster;         // by name: a cluster that does not exist is NC at connect time
  uint32_t weight = 0;  // share = weight / sum; a single destination takes everything
};

struct Route {
  std::vector<WeightedCluster> clusters;   // at least one
  Text stat_prefix;                        // cluster name, or "<vs>.<ns>" when weighted
  Rare<Duration> idle_timeout;             // absent: 1 h (Envoy); zero: none
  Rare<Duration> max_connection_duration;  // absent: none
  bool hash_source_ip = false;
  OriginPtr origin;  // the VirtualService (with the line of its tcp/tls entry) or the Service
};

enum class TransportProtocol : uint8_t { kAny, kTls, kRawBuffer };

struct FilterChainMatch {  // empty members match everything
  std::optional<uint16_t> destination_port;
  std::vector<Prefix> prefix_ranges;      // destination address
  std::vector<std::string> server_names;  // SNI, lower case; "*.example.com" matches by suffix
  TransportProtocol transport = TransportProtocol::kAny;
  std::vector<std::string> application_protocols;  // ALPN, any of
  bool match_all() const;
};

struct FilterChain {
  Text name;
  FilterChainMatch match;
  Route route;
  bool log = true;  // false: closed without an access-log line (docs/istio.md#virtualoutbound)
  OriginPtr origin;
};

// Something that would have taken the connection but lost; explain prints it.
struct Loser {
  OriginPtr object;
  std::string what;    // "chain outbound|5701||b.default.svc.cluster.local on 0.0.0.0_5701"
  std::string reason;  // "older Service default/a holds 0.0.0.0:5701 (creationTimestamp ...)"
  // The only destination it would have taken; absent: any that its listener takes.
  std::optional<SocketAddress> at;
};

struct Listener {
  Text name;  // "10.96.1.10_9000", "0.0.0.0_5701", "virtualOutbound"
  Direction direction = Direction::kOutbound;
  std::vector<SocketAddress> addresses;  // primary first; the wildcard is 0.0.0.0 or [::]
  bool bind_to_port = false;             // really bound (gateways, captureMode NONE) or only looked up
  std::vector<FilterChain> chains;
  Rare<FilterChain> default_chain;
  bool inspect_tls = false;  // some chain needs SNI or "is it TLS": peek before matching
  bool accept_proxy_protocol = false;
  Text protocol;  // as declared, for people: "TCP", "HTTP", "TLS", "auto"
  OriginPtr origin;
  std::vector<Loser> losers;
  // Whatever the connection: the only chain, or the default one.
  bool single_answer() const;
};
using ListenerPtr = std::shared_ptr<const Listener>;

// Permit and block lists for destinations that no listener owns (userspace/config/README.md#egress-lists).
// Permit wins; both empty: no rule.
struct EgressPolicy {
  std::vector<Prefix> permit, block;
  bool block_all = false;
  OriginPtr origin;
};

enum class AccessLogEncoding : uint8_t { kText, kJson };

struct MeshSettings {
  std::string access_log_file;  // "" off, "/dev/stdout" usual
  AccessLogEncoding access_log_encoding = AccessLogEncoding::kText;
  std::string access_log_format;      // "" the default format; else Envoy's command-operator text
  std::string compatibility_version;  // "" current; "1.5"
  std::string trust_domain = "cluster.local";
  std::string mesh_id, cluster_id = "Kubernetes";
  std::optional<Duration> protocol_detection_timeout;  // absent or zero: wait for the first bytes
};

// A problem found while compiling: the same finding that `analyze` prints.
enum class Severity : uint8_t { kInfo, kWarning, kError };
struct Finding {
  std::string code;  // "IST0150", or "SM…" for those of ours
  Severity severity = Severity::kWarning;
  OriginPtr object;
  std::string text;
  // Of a gateway's server: its port and, where the pod listens on another one for it, that.
  std::vector<uint16_t> server_ports = {};
};

struct Snapshot {
  uint64_t generation = 0;  // counts publications of one source, from 1
  std::string version;      // content hash: equal configuration, equal text
  Workload self;            // the proxy's own workload
  std::map<std::string, std::string> self_labels;
  std::vector<IpAddress> self_ips;
  MeshSettings mesh;
  EgressPolicy egress;

  std::vector<ListenerPtr> listeners;  // virtual ones included
  FlatMap<Text, ClusterPtr> clusters;  // by name
  // Peers by address, for metric labels; shared by the snapshots between which no workload changed.
  std::shared_ptr<const WorkloadTable> workloads = std::make_shared<const WorkloadTable>();
  std::vector<Finding> findings;

  // Lookup tables over `listeners`; built by index(), which the producer calls once before publishing.
  FlatMap<SocketAddress, const Listener*> by_address;  // not bound ones, outbound
  const Listener* virtual_outbound = nullptr;
  const Listener* virtual_inbound = nullptr;
  // Of the listeners with a choice of chains, bound ones too.
  std::unordered_map<const Listener*, std::shared_ptr<const ChainIndex>> chain_indexes;
  std::optional<FilterChain> egress_refused;  // where the egress lists send what they refuse
  void index();

  const Cluster* find_cluster(const Text& name) const;
  WorkloadPtr find_workload(const IpAddress& ip) const;  // null: not a known workload
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace sockmesh::model
