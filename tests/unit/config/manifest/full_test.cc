// Every field of testdata/full.yaml arrives where it belongs.
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>

#include "config/manifest/reader.h"

using namespace sockmesh;
using namespace sockmesh::config;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

const Resources& full() {
  static const Resources resources = [] {
    std::ifstream in(SOCKMESH_TESTDATA "/full.yaml");
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    Resources out;
    std::vector<ReadProblem> problems;
    REQUIRE(read_manifest(text, "full.yaml", out, problems));
    REQUIRE(problems.empty());
    return out;
  }();
  return resources;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("full: Service") {
  REQUIRE(full().services.size() == 2);
  const Service& echo = *full().services[0];
  CHECK(echo.meta.kind == "Service");
  CHECK(echo.meta.name == "echo");
  CHECK(echo.meta.ns == "apps");
  CHECK(echo.meta.labels == Labels{{"app", "echo"}});
  CHECK(echo.meta.annotations == Labels{{"networking.istio.io/exportTo", "*"}});
  CHECK(echo.meta.created == std::chrono::system_clock::from_time_t(1698598050));
  CHECK(echo.meta.line == 2);
  CHECK(echo.meta.origin()->to_string() == "Service apps/echo (full.yaml:2)");
  CHECK(echo.type == "LoadBalancer");
  REQUIRE(echo.cluster_ips.size() == 2);
  CHECK(echo.cluster_ips[0].to_string() == "10.96.1.10");
  CHECK(echo.cluster_ips[1].to_string() == "fd00::10");
  CHECK_FALSE(echo.headless);
  CHECK(echo.external_ips == Texts{"192.0.2.1"});
  CHECK(echo.load_balancer_ips == Texts{"192.0.2.9"});
  CHECK(echo.selector == Labels{{"app", "echo"}});
  REQUIRE(echo.ports.size() == 2);
  CHECK(echo.ports[0].name == "tcp-echo");
  CHECK(echo.ports[0].port == 9000);
  CHECK(echo.ports[0].target.name == "echo");
  CHECK(echo.ports[0].transport == "TCP");
  CHECK(echo.ports[0].app_protocol == "tcp");
  CHECK(echo.ports[0].node_port == 30900);
  CHECK(echo.ports[0].line == 23);
  CHECK(echo.ports[1].target.number == 9101);
  CHECK_FALSE(echo.ports[1].app_protocol);
  CHECK(echo.publish_not_ready);
  CHECK(echo.internal_traffic_local);
  CHECK(echo.traffic_distribution == "PreferClose");
  CHECK(full().services[1]->external_name == "echo.apps.svc.cluster.local");
}

TEST_CASE("full: Pod, Node, Namespace") {
  const Pod& pod = *full().pods.at(0);
  REQUIRE(pod.ips.size() == 2);
  CHECK(pod.ips[0].to_string() == "10.244.1.1");
  CHECK(pod.ips[1].to_string() == "fd00:1::1");
  CHECK(pod.node == "node-1");
  CHECK(pod.service_account == "echo");
  CHECK(pod.phase == "Running");
  CHECK(pod.ready == true);
  CHECK_FALSE(pod.terminating);
  CHECK_FALSE(pod.host_network);
  REQUIRE(pod.ports.size() == 2);
  CHECK(pod.ports[0].name == "echo");
  CHECK(pod.ports[0].port == 9000);
  CHECK(pod.ports[1].port == 9200);
  CHECK(pod.owner_kind == "ReplicaSet");
  CHECK(pod.owner_name == "echo-7d9");
  CHECK(full().nodes.at(0)->meta.labels.size() == 1);
  CHECK(full().nodes.at(0)->meta.ns.empty());
  CHECK(full().namespaces.at(0)->meta.name == "apps");
}

TEST_CASE("full: Endpoints and EndpointSlice") {
  REQUIRE(full().endpoints.size() == 2);
  const EndpointSet& legacy = *full().endpoints[0];
  CHECK(legacy.meta.kind == "Endpoints");
  CHECK(legacy.service == "legacy");
  REQUIRE(legacy.subsets.size() == 1);
  REQUIRE(legacy.subsets[0].addresses.size() == 2);
  CHECK(legacy.subsets[0].addresses[0].ip.to_string() == "10.244.2.1");
  CHECK(legacy.subsets[0].addresses[0].ready);
  CHECK(legacy.subsets[0].addresses[0].node == "node-2");
  CHECK(legacy.subsets[0].addresses[0].target_name == "legacy-1");
  CHECK_FALSE(legacy.subsets[0].addresses[1].ready);
  CHECK(legacy.subsets[0].ports.at(0).port == 7000);
  const EndpointSet& slice = *full().endpoints[1];
  CHECK(slice.service == "echo");
  CHECK_FALSE(slice.fqdn);
  const EndpointSet::Address& address = slice.subsets.at(0).addresses.at(0);
  CHECK((address.ready && address.serving && !address.terminating));
  CHECK(address.zone == "z1");
  CHECK(address.target_kind == "Pod");
  CHECK(address.target_ns == "apps");
  CHECK(slice.subsets[0].ports.at(0).name == "tcp-echo");
}

TEST_CASE("full: WorkloadEntry and ServiceEntry") {
  const WorkloadEntrySpec& vm = full().workload_entries.at(0)->spec;
  CHECK(vm.address == "10.0.0.5");
  CHECK(vm.ports == std::map<std::string, uint16_t>{{"tcp", 8080}});
  CHECK(vm.labels == Labels{{"app", "vm"}});
  CHECK(vm.network == "net1");
  CHECK(vm.locality == "r1/z1");
  CHECK(vm.weight == 5u);
  CHECK(vm.service_account == "vm");
  REQUIRE(full().service_entries.size() == 2);
  const ServiceEntry& db = *full().service_entries[0];
  CHECK(db.hosts == Texts{"db.example.com"});
  REQUIRE(db.addresses.size() == 2);
  CHECK(db.addresses[0].to_string() == "240.0.0.1/32");
  CHECK(db.addresses[1].to_string() == "10.1.0.0/16");
  CHECK(db.ports.at(0).number == 5432);
  CHECK(db.ports.at(0).name == "tcp-db");
  CHECK(db.ports.at(0).protocol == "TCP");
  CHECK(db.ports.at(0).target == 15432);
  CHECK_FALSE(db.mesh_internal);
  CHECK(db.resolution == Resolution::kStatic);
  CHECK(db.endpoints.at(0).ports.at("tcp-db") == 25432);
  CHECK(db.export_to == Texts{"."});
  const ServiceEntry& vms = *full().service_entries[1];
  CHECK(vms.mesh_internal);
  CHECK(vms.workload_selector == Labels{{"app", "vm"}});
}

TEST_CASE("full: VirtualService") {
  const VirtualService& echo = *full().virtual_services.at(0);
  CHECK(echo.hosts == Texts{"echo"});
  CHECK(echo.gateways == Texts{"mesh", "istio-ingress/gw"});
  CHECK(echo.export_to == Texts{"*"});
  REQUIRE(echo.tcp.size() == 1);
  const L4Match& match = echo.tcp[0].matches.at(0);
  CHECK(match.port == 9000);
  CHECK(match.destination_subnets.at(0).to_string() == "10.96.0.0/16");
  CHECK(match.source_labels == Labels{{"app", "client"}});
  CHECK(match.source_namespace == "apps");
  CHECK(match.gateways == Texts{"mesh"});
  REQUIRE(echo.tcp[0].destinations.size() == 2);
  CHECK(echo.tcp[0].destinations[0].destination.host == "echo");
  CHECK(echo.tcp[0].destinations[0].destination.subset == "v1");
  CHECK(echo.tcp[0].destinations[0].destination.port == 9000);
  CHECK(echo.tcp[0].destinations[0].weight == 80);
  CHECK(echo.tls.at(0).matches.at(0).sni_hosts == Texts{"echo.example.com"});
  CHECK_FALSE(echo.tls[0].destinations.at(0).weight);
  REQUIRE(echo.http.size() == 1);
  CHECK(echo.http[0].has_match);
  CHECK(echo.http[0].destinations.at(0).destination.host == "other");
}

TEST_CASE("full: DestinationRule") {
  const DestinationRule& rule = *full().destination_rules.at(0);
  CHECK(rule.host == "echo.apps.svc.cluster.local");
  CHECK(rule.workload_selector == Labels{{"app", "client"}});
  CHECK(rule.export_to == Texts{"apps"});
  REQUIRE(rule.policy);
  const auto& balancer = *rule.policy->load_balancer;
  CHECK(balancer.simple == "ROUND_ROBIN");
  CHECK(balancer.warmup->duration == seconds(30));
  CHECK(balancer.warmup->minimum_percent == 20);
  CHECK(balancer.warmup->aggression == 1.5);
  CHECK(balancer.locality_enabled == true);
  CHECK(balancer.distribute.at(0).to.at("r2/*") == 20);
  CHECK(balancer.failover.at(0).to == "r2");
  CHECK(balancer.failover_priority == Texts{"topology.kubernetes.io/region"});
  const auto& pool = *rule.policy->connection_pool;
  CHECK(pool.max_connections == 100u);
  CHECK(pool.connect_timeout == seconds(3));
  CHECK(pool.idle_timeout == seconds(600));
  CHECK(pool.max_connection_duration == seconds(3600));
  CHECK(pool.keepalive->probes == 3u);
  CHECK(pool.keepalive->time == seconds(60));
  CHECK(pool.keepalive->interval == seconds(10));
  const auto& outlier = *rule.policy->outlier;
  CHECK(outlier.consecutive_5xx == 7u);
  CHECK(outlier.consecutive_gateway == 6u);
  CHECK(outlier.consecutive_local_origin == 4u);
  CHECK(outlier.split_external_local_origin);
  CHECK(outlier.interval == seconds(5));
  CHECK(outlier.base_ejection_time == seconds(15));
  CHECK(outlier.max_ejection_percent == 50u);
  CHECK(outlier.min_health_percent == 10u);
  CHECK(rule.policy->tls_mode == "DISABLE");
  CHECK(rule.policy->proxy_protocol == model::ProxyProtocol::kV2);
  CHECK(rule.policy->port_level.at(0).port == 9000);
  CHECK(rule.policy->port_level.at(0).policy.connection_pool->max_connections == 5u);
  REQUIRE(rule.subsets.size() == 2);
  CHECK(rule.subsets[0].name == "v1");
  CHECK(rule.subsets[0].labels == Labels{{"version", "v1"}});
  const auto& maglev = *rule.subsets[0].policy->load_balancer;
  CHECK((maglev.consistent_hash && maglev.use_source_ip && maglev.maglev));
  CHECK(maglev.table_size == 101);
  const auto& ring = *rule.subsets[1].policy->load_balancer;
  CHECK((ring.consistent_hash && !ring.use_source_ip && !ring.maglev));
  CHECK(ring.table_size == 2048);
}

TEST_CASE("full: Gateway and Sidecar") {
  const Gateway& gateway = *full().gateways.at(0);
  CHECK(gateway.selector == Labels{{"istio", "ingressgateway"}});
  REQUIRE(gateway.servers.size() == 2);
  CHECK(gateway.servers[0].port.number == 9000);
  CHECK(gateway.servers[0].hosts == Texts{"apps/*"});
  CHECK(gateway.servers[0].bind == "0.0.0.0");
  CHECK(gateway.servers[0].name == "plain");
  CHECK(gateway.servers[0].tls_mode.empty());
  CHECK(gateway.servers[1].tls_mode == "PASSTHROUGH");
  const Sidecar& sidecar = *full().sidecars.at(0);
  CHECK(sidecar.workload_selector == Labels{{"app", "client"}});
  REQUIRE(sidecar.egress.size() == 2);
  CHECK(sidecar.egress[0].port->number == 5432);
  CHECK(sidecar.egress[0].bind == "127.0.0.1");
  CHECK(sidecar.egress[0].capture_none);
  CHECK(sidecar.egress[1].hosts == Texts{"./*"});
  CHECK(sidecar.ingress.at(0).port.number == 9000);
  CHECK(sidecar.ingress.at(0).bind == "0.0.0.0");
  CHECK(sidecar.ingress.at(0).default_endpoint == "127.0.0.1:9001");
  CHECK(sidecar.ingress.at(0).connection_pool->max_connections == 9u);
  REQUIRE(sidecar.outbound);
  CHECK(sidecar.outbound->registry_only);
  CHECK(sidecar.outbound->egress_proxy->host == "egress.apps.svc.cluster.local");
  CHECK(sidecar.outbound->egress_proxy->subset == "v1");
  CHECK(sidecar.outbound->egress_proxy->port == 3128);
  CHECK(sidecar.inbound_connection_pool->connect_timeout == seconds(2));
}

TEST_CASE("full: Gateway API") {
  const K8sGateway& gateway = *full().k8s_gateways.at(0);
  CHECK(gateway.class_name == "istio");
  CHECK(gateway.addresses == Texts{"192.0.2.7"});
  REQUIRE(gateway.listeners.size() == 2);
  CHECK(gateway.listeners[0].name == "tcp");
  CHECK(gateway.listeners[0].port == 7000);
  CHECK(gateway.listeners[0].from == "Selector");
  CHECK(gateway.listeners[0].from_selector == Labels{{"team", "apps"}});
  CHECK(gateway.listeners[1].hostname == "*.example.com");
  CHECK(gateway.listeners[1].tls_mode == "Passthrough");
  REQUIRE(full().k8s_routes.size() == 2);
  const K8sRoute& tcp = *full().k8s_routes[0];
  CHECK(tcp.meta.kind == "TCPRoute");
  CHECK(tcp.parents.at(0).name == "kgw");
  CHECK(tcp.parents.at(0).ns == "istio-ingress");
  CHECK(tcp.parents.at(0).section == "tcp");
  CHECK(tcp.parents.at(0).port == 7000);
  CHECK(tcp.rules.at(0).backends.at(0).name == "echo");
  CHECK(tcp.rules.at(0).backends.at(0).weight == 3);
  const K8sRoute& tls = *full().k8s_routes[1];
  CHECK(tls.meta.kind == "TLSRoute");
  CHECK(tls.hostnames == Texts{"echo.example.com"});
  CHECK_FALSE(tls.rules.at(0).backends.at(0).weight);
  const ReferenceGrant& grant = *full().reference_grants.at(0);
  CHECK(grant.from.at(0).kind == "TCPRoute");
  CHECK(grant.from.at(0).ns == "istio-ingress");
  CHECK(grant.to.at(0).name == "echo");
}

TEST_CASE("full: MeshConfig") {
  REQUIRE(full().mesh);
  const MeshConfig& mesh = *full().mesh;
  CHECK(mesh.meta.kind == "MeshConfig");
  CHECK(mesh.outbound_registry_only);
  CHECK(mesh.inbound_localhost);
  CHECK(mesh.connect_timeout == seconds(5));
  CHECK(mesh.protocol_detection_timeout == milliseconds(100));
  CHECK(mesh.dns_refresh_rate == seconds(30));
  CHECK(mesh.keepalive->probes == 4u);
  CHECK(mesh.access_log_file == "/dev/stdout");
  CHECK(mesh.access_log_format == "%START_TIME%");
  CHECK(mesh.access_log_encoding == model::AccessLogEncoding::kJson);
  CHECK(mesh.root_namespace == "istio-config");
  CHECK(mesh.trust_domain == "example.org");
  CHECK(mesh.domain == "cluster.local");
  CHECK(mesh.mesh_id == "mesh1");
  CHECK(mesh.default_service_export_to == Texts{"."});
  CHECK(mesh.default_virtual_service_export_to == Texts{"*"});
  CHECK(mesh.default_destination_rule_export_to == Texts{"~"});
  CHECK(mesh.locality_enabled == false);
  CHECK(mesh.distribute.at(0).to.at("r1/*") == 100);
  CHECK(mesh.failover.at(0).from == "r1");
  CHECK(mesh.failover_priority == Texts{"zone"});
  CHECK(mesh.default_traffic_policy->connection_pool->max_connections == 1000u);
  CHECK(mesh.default_traffic_policy->outlier->interval == seconds(20));
  CHECK(mesh.compatibility_version == "1.5");
  CHECK(mesh.drain_duration == seconds(45));
  CHECK(mesh.termination_drain_duration == seconds(5));
  CHECK(mesh.gateway_proxy_protocol);
  CHECK(mesh.egress_permit.at(0).to_string() == "192.0.2.0/24");
  CHECK(mesh.egress_block.at(0).to_string() == "10.0.0.0/8");
  CHECK(mesh.egress_block_all);
}
