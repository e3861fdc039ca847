#include "sample.h"

namespace sockmesh::admin {

namespace {

using namespace std::chrono_literals;

model::OriginPtr object(std::string kind, std::string name, std::string ns, std::string file, int line) {
  return std::make_shared<model::Origin>(
      model::Origin{std::move(kind), std::move(name), std::move(ns), std::move(file), line});
}
SocketAddress at(std::string_view text) { return SocketAddress::parse(text).value(); }

model::Route to(std::vector<model::WeightedCluster> clusters, std::string stat_prefix,
                model::OriginPtr origin) {
  model::Route route;
  route.clusters = std::move(clusters);
  route.stat_prefix = std::move(stat_prefix);
  route.origin = std::move(origin);
  return route;
}

const auto kEchoService = object("Service", "echo", "default", "echo.yaml", 3);
const auto kEchoRoute = object("VirtualService", "echo", "default", "routes.yaml", 14);
const auto kEchoRule = object("DestinationRule", "echo", "default", "routes.yaml", 31);
const auto kAppExt = object("Service", "app-ext", "app", "app.yaml", 9);

std::string echo(const std::string& subset) {
  return "outbound|9000|" + subset + "|echo.default.svc.cluster.local";
}

model::ListenerPtr echo_listener() {
  auto listener = std::make_shared<model::Listener>();
  listener->name = "10.96.1.10_9000";
  listener->addresses = {at("10.96.1.10:9000"), at("[fd00:96::a]:9000")};
  listener->protocol = "TCP";
  listener->origin = kEchoService;
  model::FilterChain chain;
  chain.name = "outbound|9000||echo.default.svc.cluster.local";
  chain.route = to({{echo("v1"), 80}, {echo("v2"), 20}}, "echo.default", kEchoRoute);
  chain.route.idle_timeout = Duration(2h);
  chain.origin = kEchoRoute;
  listener->chains.push_back(std::move(chain));
  return listener;
}

model::ListenerPtr hijacked_port() {
  auto listener = std::make_shared<model::Listener>();
  listener->name = "0.0.0.0_5701";
  listener->addresses = {at("0.0.0.0:5701")};
  listener->protocol = "TCP";
  listener->inspect_tls = true;
  listener->origin = kAppExt;

  model::FilterChain own;
  own.name = "own-address";
  own.match.prefix_ranges = {Prefix::parse("10.12.0.12/32").value()};
  own.route = to({{model::kBlackHoleCluster, 0}}, model::kBlackHoleCluster, model::builtin_origin());
  own.origin = model::builtin_origin();
  model::FilterChain tls;
  tls.name = "tls";
  tls.match.server_names = {"db.example.com", "*.db.example.com"};
  tls.match.transport = model::TransportProtocol::kTls;
  tls.route = to({{"outbound|5701||app-ext.app.svc.cluster.local", 0}},
                 "outbound|5701||app-ext.app.svc.cluster.local", kAppExt);
  tls.route.max_connection_duration = Duration(24h);
  tls.origin = kAppExt;
  model::FilterChain rest;
  rest.name = "outbound|5701||app-ext.app.svc.cluster.local";
  rest.route = to({{"outbound|5701||app-ext.app.svc.cluster.local", 0}},
                  "outbound|5701||app-ext.app.svc.cluster.local", kAppExt);
  rest.origin = kAppExt;
  listener->chains = {own, tls};
  listener->default_chain = rest;
  listener->losers = {{object("Service", "cache", "app", "cache.yaml", 2),
                       "chain outbound|5701||cache.app.svc.cluster.local on 0.0.0.0_5701",
                       "Service app/app-ext is older and holds 0.0.0.0:5701"}};
  return listener;
}

model::ListenerPtr virtual_listener(const char* name, const char* address, const char* chain_name,
                                    const char* cluster, bool inbound) {
  auto listener = std::make_shared<model::Listener>();
  listener->name = name;
  listener->direction = inbound ? model::Direction::kInbound : model::Direction::kOutbound;
  listener->addresses = {at(address)};
  listener->origin = model::builtin_origin();
  model::FilterChain blackhole;
  blackhole.name = std::string(name) + "-blackhole";
  blackhole.match.destination_port = listener->addresses.front().port;
  blackhole.route = to({{model::kBlackHoleCluster, 0}}, model::kBlackHoleCluster, model::builtin_origin());
  blackhole.log = false;
  blackhole.origin = model::builtin_origin();
  model::FilterChain rest;
  rest.name = chain_name;
  rest.route = to({{cluster, 0}}, cluster, model::builtin_origin());
  rest.origin = model::builtin_origin();
  listener->chains = {blackhole, rest};
  return listener;
}

std::shared_ptr<model::Cluster> cluster(std::string name, model::ClusterType type) {
  auto made = std::make_shared<model::Cluster>();
  made->name = std::move(name);
  made->type = type;
  made->origin = model::builtin_origin();
  return made;
}

model::Endpoint endpoint(std::string_view address, uint32_t weight, model::Health health, const char* pod) {
  model::Endpoint made;
  made.address = at(address);
  made.weight = weight;
  made.health = health;
  if (pod) {
    made.workload = std::make_shared<model::Workload>(model::Workload{.name = pod, .ns = "default"});
    made.locality = std::make_shared<model::Locality>(model::Locality{"r1", "z1", ""});
  }
  return made;
}

model::ClusterPtr echo_cluster(const std::string& subset) {
  auto made = cluster(echo(subset), model::ClusterType::kEds);
  made->service_host = "echo.default.svc.cluster.local";
  made->service_name = "echo";
  made->service_namespace = "default";
  made->service_port = 9000;
  made->subset = subset;
  made->origin = kEchoService;
  made->destination_rule = kEchoRule;
  made->max_connections = 100;
  made->outlier = model::OutlierDetection{};
  if (subset != "v2") {
    made->endpoints.push_back(endpoint("10.1.0.5:9000", 1, model::Health::kHealthy, "echo-v1-0"));
    made->endpoints.push_back(endpoint("10.1.0.6:9000", 3, model::Health::kUnhealthy, "echo-v1-1"));
  }
  if (subset != "v1")
    made->endpoints.push_back(endpoint("10.1.0.7:9000", 1, model::Health::kHealthy, "echo-v2-0"));
  return made;
}

model::ClusterPtr external_cluster() {
  auto made = cluster("outbound|5701||app-ext.app.svc.cluster.local", model::ClusterType::kStrictDns);
  made->service_host = "app-ext.app.svc.cluster.local";
  made->service_name = "app-ext";
  made->service_namespace = "app";
  made->service_port = 5701;
  made->origin = kAppExt;
  model::Endpoint host;
  host.address = model::HostName{"app.example.com", 5701};
  made->endpoints.push_back(host);
  return made;
}

model::ClusterPtr inbound_cluster() {
  auto made = cluster("inbound|9000||", model::ClusterType::kOriginalDst);
  made->direction = model::Direction::kInbound;
  made->lb = model::LbPolicy::kClusterProvided;
  made->bind_source_v4 = IpAddress::parse("127.0.0.6").value();
  made->origin = kEchoService;
  return made;
}

}  // namespace

model::SnapshotPtr sample_snapshot() {
  static const model::SnapshotPtr snapshot = [] {
    auto made = std::make_shared<model::Snapshot>();
    made->generation = 4;
    made->version = "6b1f0c9a";
    made->self = {.name = "client-0", .ns = "default", .cluster_id = "Kubernetes"};
    made->self_labels = {{"app", "client"}};
    made->self_ips = {IpAddress::parse("10.1.0.9").value()};
    made->listeners = {virtual_listener("virtualOutbound", "0.0.0.0:15001", "virtualOutbound-catchall-tcp",
                                        model::kPassthroughCluster, false),
                       virtual_listener("virtualInbound", "0.0.0.0:15006", "virtualInbound",
                                        model::kInboundPassthroughCluster, true),
                       echo_listener(), hijacked_port()};
    auto passthrough = cluster(model::kPassthroughCluster, model::ClusterType::kOriginalDst);
    passthrough->lb = model::LbPolicy::kClusterProvided;
    for (const model::ClusterPtr& one :
         {model::ClusterPtr(passthrough),
          model::ClusterPtr(cluster(model::kBlackHoleCluster, model::ClusterType::kStatic)), echo_cluster(""),
          echo_cluster("v1"), echo_cluster("v2"), external_cluster(), inbound_cluster()})
      made->clusters[one->name] = one;
    made->findings = {{"IST0150", model::Severity::kWarning, kAppExt,
                       "Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and "
                       "unmatched traffic for ports serving TCP protocol from being forwarded correctly"}};
    made->index();
    return made;
  }();
  return snapshot;
}

FlowListing sample_flows() {
  telemetry::ConnectionRecord spliced;
  spliced.id = 281474976710657;
  spliced.state = telemetry::ConnectionState::kRelaying;
  spliced.started = kSampleWall - 65s;
  spliced.opened = kSampleNow - 65s;
  spliced.downstream_remote = at("10.1.0.9:47316");
  spliced.downstream_local = at("10.96.1.10:9000");
  spliced.upstream_host = at("10.1.0.5:9000");
  spliced.upstream_local = at("10.1.0.9:51100");
  spliced.listener = "10.96.1.10_9000";
  spliced.filter_chain = "outbound|9000||echo.default.svc.cluster.local";
  spliced.cluster = echo("v1");
  spliced.snapshot = sample_snapshot();
  spliced.connect_attempts = 1;
  spliced.bytes_received = 1536;
  spliced.bytes_sent = 7340032;
  spliced.moved[model::Lane::kSkSkb] = {1400, 7339000};
  spliced.lane = model::Lane::kSkSkb;
  spliced.lane_reason = "self-test passed, spliced after the first bytes";
  spliced.upstream_closed = true;

  telemetry::ConnectionRecord connecting;
  connecting.id = 7;
  connecting.direction = model::Direction::kInbound;
  connecting.state = telemetry::ConnectionState::kConnecting;
  connecting.started = kSampleWall - 250ms;
  connecting.opened = kSampleNow - 250ms;
  connecting.downstream_remote = at("10.1.0.30:40000");
  connecting.downstream_local = at("10.1.0.9:9000");
  connecting.listener = "virtualInbound";
  connecting.filter_chain = "0.0.0.0_9000";
  connecting.cluster = "inbound|9000||";
  connecting.server_name = "echo.example.com";
  return {{spliced, connecting}, 2};
}

AgentStatus sample_status() {
  AgentStatus status;
  status.version = "0.1.0";
  status.pid = 4711;
  status.started = kSampleWall - 26h - 3min;
  status.role = "sidecar";
  status.pod = "client-0";
  status.ns = "default";
  status.node = "n1";
  status.address_origins = {{"10.1.0.9", "INSTANCE_IP"}};
  status.interception = "REDIRECT";
  status.data_path = "auto";
  status.config = {.source = "folder",
                   .location = "/etc/sockmesh/config",
                   .loaded = kSampleWall - 5min,
                   .rejected = 1,
                   .last_error =
                       "routes.yaml:12: VirtualService default/echo: spec.tcp[0].route[0].weight: "
                       "'x': expected a number",
                   .problems = 3};
  status.unbound = {{"0.0.0.0_31400", "0.0.0.0:31400", "bind 0.0.0.0:31400: Address already in use"}};
  status.names = {{"db.example.com", "failing", {"192.0.2.7"}, "Timeout while contacting DNS servers", 35s}};
  status.lanes = {{model::Lane::kEpoll, true, false, "always available", 0, 0},
                  {model::Lane::kIoUring, true, true, "passed: multishot receive, buffer ring", 1, 12},
                  {model::Lane::kSkSkb, true, true, "passed: 8 of 8 checks", 1, 11},
                  {model::Lane::kSkMsg, false, false, "not asked for", 0, 0},
                  {model::Lane::kDirect, true, true, "passed: 9 of 9 checks", 1, 8}};
  status.direct =
      DirectStatus{17, 12, 20, 9, 10, 25, 6'000'000, {{"rewritten", 8}, {"missed", 0}, {"intercepted", 3}}};
  status.workers = {{0, "io_uring", 2, 9}, {1, "io_uring", 0, 5}};
  return status;
}

std::vector<EndpointState> sample_states() {
  return {{echo("v1"), "10.1.0.5:9000", false, 1, 11, 0, std::nullopt},
          {echo("v1"), "10.1.0.6:9000", true, 0, 3, 3, std::nullopt},
          {"outbound|5701||app-ext.app.svc.cluster.local", "app.example.com:5701", false, 0, 4, 1,
           NameStatus{"app.example.com", "empty", {}, "Domain name not found", 3s}}};
}

model::Explanation sample_explanation() {
  model::Explanation explanation;
  explanation.connection = {.destination = at("10.12.1.6:5701"), .source = at("10.1.0.9:0")};
  explanation.listener = "0.0.0.0_5701";
  explanation.filter_chain = "outbound|5701||app-ext.app.svc.cluster.local";
  explanation.route = {{"outbound|5701||app-ext.app.svc.cluster.local", 0}};
  explanation.clusters = {{"outbound|5701||app-ext.app.svc.cluster.local", external_cluster(), 1.0}};
  explanation.expected.add(model::ResponseFlag::kUpstreamConnectionFailure);
  explanation.steps = {
      {"interception", "the connection leaves the pod and is redirected to port 15001", nullptr},
      {"listener", "no listener owns 10.12.1.6:5701, so the wildcard 0.0.0.0_5701 takes it", kAppExt},
      {"filterChain", "no chain matches 10.12.1.6, the default chain applies", kAppExt},
      {"route", "everything goes to outbound|5701||app-ext.app.svc.cluster.local", kAppExt},
      {"cluster", "STRICT_DNS, least request", kAppExt},
      {"endpoints", "app.example.com:5701, resolved by DNS", kAppExt},
      {"outcome", "connected to app.example.com:5701, not to 10.12.1.6", nullptr}};
  explanation.losers = {{model::builtin_origin(), "virtualOutbound to PassthroughCluster",
                         "0.0.0.0_5701 is more specific: it holds the port for every address"}};
  explanation.cures = {"give Service app/app-ext the annotation networking.istio.io/exportTo: \".\"",
                       "name the port of app/app-ext http-..."};
  return explanation;
}

}  // namespace sockmesh::admin
