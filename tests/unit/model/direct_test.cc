// What may be direct and what not: one thing changed of a connection that is, and the reason that follows.
#include "model/direct.h"

#include <catch2/catch.hpp>
#include <functional>
#include <set>
#include <string>

#include "chains.h"

using namespace sockmesh;
using namespace sockmesh::model;
using namespace std::chrono_literals;

namespace {

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

Endpoint endpoint(EndpointAddress address) {
  Endpoint made;
  made.address = std::move(address);
  return made;
}
Endpoint at(const char* address) { return endpoint(SocketAddress::parse(address).value()); }

// A service at 10.96.0.1:80 and [fd00::1]:80, a pod at 10.1.0.9, everything else to Passthrough.
struct Mesh {
  Mesh() {
    service->chains.back().name = "service";
    outbound->default_chain = to(kPassthroughCluster);
    inbound->direction = Direction::kInbound;
    inbound->chains.push_back(to("inbound|8080||"));
    inbound->chains.back().match.destination_port = 8080;
    inbound->default_chain = to(kInboundPassthroughCluster);
    cluster->endpoints = {at("10.1.0.1:8080"), at("10.1.0.2:8080")};
    cluster_v6->endpoints = {at("[fd01::1]:8080")};
    for (auto* original : {&passthrough, &inbound_cluster, &inbound_passthrough})
      (*original)->type = ClusterType::kOriginalDst;
    inbound_cluster->bind_source_v4 = ip("127.0.0.6");
  }
  FilterChain& chain() { return service->chains.back(); }
  Snapshot snapshot() {
    Snapshot made;
    made.listeners = {service, service_v6, outbound, inbound};
    made.clusters.emplace("c", cluster);
    made.clusters.emplace("six", cluster_v6);
    made.clusters.emplace(kPassthroughCluster, passthrough);
    made.clusters.emplace("inbound|8080||", inbound_cluster);
    made.clusters.emplace(kInboundPassthroughCluster, inbound_passthrough);
    made.clusters.emplace(kBlackHoleCluster, std::make_shared<Cluster>());
    made.self_ips = own;
    made.egress = egress;
    made.index();
    return made;
  }
  std::string reason(const char* to) {
    const Snapshot made = snapshot();
    const ConnectionInfo connection = dial(to);
    const auto found = not_direct(made, connection, match(made, connection), terms);
    return found ? to_string(*found) : "direct";
  }
  std::string reason_in(uint16_t port) {
    const Snapshot made = snapshot();
    const auto found = inbound_not_direct(made, port, terms);
    return found ? to_string(*found) : "direct";
  }

  std::shared_ptr<Listener> service = listener("10.96.0.1_80", {"10.96.0.1:80"}, {to("c")});
  std::shared_ptr<Listener> service_v6 = listener("fd00::1_80", {"[fd00::1]:80"}, {to("six")});
  std::shared_ptr<Listener> outbound = listener(kVirtualOutbound, {"0.0.0.0:15001", "[::]:15001"}, {});
  std::shared_ptr<Listener> inbound = listener(kVirtualInbound, {"0.0.0.0:15006", "[::]:15006"}, {});
  std::shared_ptr<Cluster> cluster = std::make_shared<Cluster>(), cluster_v6 = std::make_shared<Cluster>(),
                           passthrough = std::make_shared<Cluster>(),
                           inbound_cluster = std::make_shared<Cluster>(),
                           inbound_passthrough = std::make_shared<Cluster>();
  std::vector<IpAddress> own = {ip("10.1.0.9")};
  EgressPolicy egress;
  DirectTerms terms;
};

struct Row {
  const char* reason;
  std::function<void(Mesh&)> change;
  const char* to = "10.96.0.1:80";
};

const std::vector<Row> kRows = {
    {"direct", [](Mesh&) {}},
    {"direct", [](Mesh&) {}, "[fd00::1]:80"},
    {"direct", [](Mesh&) {}, "8.8.8.8:53"},  // Passthrough
    // The destination.
    {"loopback", [](Mesh&) {}, "127.0.0.2:80"},
    {"loopback", [](Mesh&) {}, "[::1]:80"},
    {"loopback", [](Mesh&) {}, "0.0.0.0:80"},
    {"own_address", [](Mesh&) {}, "10.1.0.9:80"},
    {"capture_port", [](Mesh&) {}, "8.8.8.8:15001"},
    {"capture_port", [](Mesh&) {}, "[2001:db8::1]:15006"},
    {"capture_port", [](Mesh& m) { m.terms.capture_ports = {80}; }},
    {"not_captured", [](Mesh& m) { m.terms.excluded_ports = {80}; }},
    {"not_captured", [](Mesh& m) { m.terms.excluded_ranges = {Prefix::parse("10.96.0.0/16").value()}; }},
    {"not_captured", [](Mesh& m) { m.terms.included_ranges = {Prefix::parse("10.97.0.0/16").value()}; }},
    {"direct", [](Mesh& m) { m.terms.included_ranges = {Prefix::parse("10.96.0.0/16").value()}; }},
    {"direct",
     [](Mesh& m) {
       m.terms.included_ranges = {Prefix::parse("10.97.0.0/16").value()};
       m.terms.included_ports = {80};
     }},
    {"not_captured",
     [](Mesh& m) {  // an excluded block wins over an included port
       m.terms.excluded_ranges = {Prefix::parse("10.96.0.0/16").value()};
       m.terms.included_ports = {80};
     }},
    {"not_captured", [](Mesh& m) { m.outbound->name = "gone"; }},  // interception mode NONE
    // The filter chain.
    {"first_bytes", [](Mesh& m) { m.chain().match.server_names = {"a.example.com"}; }},
    {"first_bytes", [](Mesh& m) { m.chain().match.transport = TransportProtocol::kTls; }},
    {"first_bytes", [](Mesh& m) { m.chain().match.application_protocols = {"h2"}; }},
    {"direct", [](Mesh& m) { m.service->inspect_tls = true; }},  // no chain asks
    {"no_filter_chain", [](Mesh& m) { m.service->chains.clear(); }},
    {"unlogged", [](Mesh& m) { m.chain().log = false; }},
    {"accepts_proxy_protocol", [](Mesh& m) { m.service->accept_proxy_protocol = true; }},
    {"idle_timeout", [](Mesh& m) { m.chain().route.idle_timeout = Duration(5s); }},
    {"direct", [](Mesh& m) { m.chain().route.idle_timeout = Duration(0s); }},  // switched off
    {"max_connection_duration", [](Mesh& m) { m.chain().route.max_connection_duration = Duration(5s); }},
    {"direct",
     [](Mesh& m) {
       m.chain().route.idle_timeout = m.chain().route.max_connection_duration = Duration(5s);
       m.terms.ends_flows = true;
     }},
    // The clusters of its route.
    {"no_cluster",
     [](Mesh& m) {
       m.chain().route.clusters = {{"nobody", 0}};
     }},
    {"no_cluster",
     [](Mesh& m) {
       m.chain().route.clusters = {{"c", 99}, {"nobody", 1}};
     }},
    {"direct",
     [](Mesh& m) {
       m.chain().route.clusters = {{"c", 99}, {"nobody", 0}};
     }},
    {"direct",
     [](Mesh& m) {
       m.chain().route.clusters = {{"c", 0}, {"nobody", 0}};
     }},  // draw(): the first
    {"no_cluster",
     [](Mesh& m) {
       m.chain().route.clusters = {{"nobody", 0}, {"c", 0}};
     }},
    {"direct",
     [](Mesh& m) {
       m.chain().route.clusters = {{kBlackHoleCluster, 0}};
     }},
    {"direct", [](Mesh& m) { m.cluster->endpoints.clear(); }},
    {"direct", [](Mesh& m) { m.cluster->max_connections = 1; }},
    {"sends_proxy_protocol", [](Mesh& m) { m.cluster->proxy_protocol = ProxyProtocol::kV2; }},
    {"keepalive", [](Mesh& m) { m.cluster->keepalive = Keepalive(); }},
    {"bind_source", [](Mesh& m) { m.cluster->bind_source_v4 = ip("10.1.0.8"); }},
    {"unix_endpoint", [](Mesh& m) { m.cluster->endpoints.push_back(endpoint(UnixPath{"/run/x"})); }},
    {"own_endpoint", [](Mesh& m) { m.cluster->endpoints.push_back(at("10.1.0.9:80")); }},
    {"own_endpoint", [](Mesh& m) { m.cluster->endpoints.push_back(at("127.0.0.1:80")); }},
    {"other_port",
     [](Mesh& m) {
       m.cluster->type = ClusterType::kOriginalDst;
       m.cluster->original_dst_port = 8443;
     }},
    {"other_family", [](Mesh& m) { m.cluster->endpoints.push_back(at("[fd01::2]:80")); }},
    {"other_family", [](Mesh& m) { m.cluster_v6->endpoints.push_back(at("10.1.0.1:80")); }, "[fd00::1]:80"},
    {"direct",
     [](Mesh& m) {  // never chosen
       m.cluster->endpoints.push_back(at("[fd01::2]:80"));
       m.cluster->endpoints.back().weight = 0;
     }},
    {"direct",
     [](Mesh& m) {
       m.cluster->endpoints = {endpoint(HostName{"db.example.com", 80})};
     }},
    {"direct",
     [](Mesh& m) {
       m.chain().route.hash_source_ip = true;
       m.cluster->lb = LbPolicy::kRingHash;
     }},
    {"source_unknown",
     [](Mesh& m) {
       m.chain().route.hash_source_ip = true;
       m.cluster->lb = LbPolicy::kMaglev;
       m.own.push_back(ip("10.1.0.10"));
     }},
    {"source_unknown",
     [](Mesh& m) {
       m.chain().route.hash_source_ip = true;
       m.cluster->lb = LbPolicy::kRingHash;
       m.own = {ip("fd01::9")};
     }},
    {"direct", [](Mesh& m) { m.cluster->lb = LbPolicy::kRingHash; }},  // by a random hash
    // Refused by the egress lists: the kernel can refuse as well.
    {"direct", [](Mesh& m) { m.egress.block_all = true; }, "8.8.8.8:53"},
};

const std::vector<Row> kInboundRows = {
    {"direct", [](Mesh&) {}},
    {"direct", [](Mesh& m) { m.own.clear(); }},
    {"direct", [](Mesh& m) { m.inbound->chains.clear(); }},  // InboundPassthroughCluster
    {"not_captured", [](Mesh& m) { m.inbound->name = "gone"; }},
    {"capture_port", [](Mesh& m) { m.terms.capture_ports = {8080}; }},
    {"first_bytes", [](Mesh& m) { m.inbound->chains[0].match.transport = TransportProtocol::kTls; }},
    {"no_filter_chain",
     [](Mesh& m) {
       m.inbound->chains.clear();
       m.inbound->default_chain.reset();
     }},
    {"unlogged", [](Mesh& m) { m.inbound->chains[0].log = false; }},
    {"idle_timeout", [](Mesh& m) { m.inbound->chains[0].route.idle_timeout = Duration(5s); }},
    {"no_cluster",
     [](Mesh& m) {
       m.inbound->chains[0].route.clusters = {{"nobody", 0}};
     }},
    {"moved_inbound", [](Mesh& m) { m.inbound_cluster->original_dst_port = 9090; }},
    {"direct", [](Mesh& m) { m.inbound_cluster->original_dst_port = 8080; }},
    {"moved_inbound",  // inboundTrafficPolicy LOCALHOST, defaultEndpoint
     [](Mesh& m) { m.inbound_cluster->type = ClusterType::kStatic; }},
    {"sends_proxy_protocol", [](Mesh& m) { m.inbound_cluster->proxy_protocol = ProxyProtocol::kV1; }},
    {"keepalive", [](Mesh& m) { m.inbound_cluster->keepalive = Keepalive(); }},
    {"max_connections", [](Mesh& m) { m.inbound_cluster->max_connections = 1; }},
};

}  // namespace

TEST_CASE("what asks for the agent is not direct, and says why") {
  for (size_t i = 0; i < kRows.size(); ++i) {
    INFO("row " << i << ", " << kRows[i].to);
    Mesh mesh;
    kRows[i].change(mesh);
    CHECK(mesh.reason(kRows[i].to) == kRows[i].reason);
  }
}

TEST_CASE("an inbound port that asks for the agent is not left out of capture, and says why") {
  for (size_t i = 0; i < kInboundRows.size(); ++i) {
    INFO("row " << i);
    Mesh mesh;
    kInboundRows[i].change(mesh);
    CHECK(mesh.reason_in(8080) == kInboundRows[i].reason);
  }
}

TEST_CASE("what the proxy saw of a connection does not make it direct") {
  Mesh mesh;
  mesh.chain().match.server_names = {"a.example.com"};
  const Snapshot snapshot = mesh.snapshot();
  const ConnectionInfo peeked = dial("10.96.0.1:80", {true, "a.example.com", {}});
  const Decision decision = match(snapshot, peeked);
  REQUIRE(decision.chain);
  CHECK(not_direct(snapshot, peeked, decision, {}) == NotDirect::kFirstBytes);
  ConnectionInfo bound = dial("10.96.0.1:80");
  bound.bound = mesh.service.get();
  CHECK(not_direct(snapshot, bound, match(snapshot, bound), {}) == NotDirect::kBoundByProxy);
}

TEST_CASE("every reason has a word and a sentence of its own") {
  std::set<std::string> words, sentences;
  for (const NotDirect reason : kAllNotDirect) {
    words.insert(to_string(reason));
    sentences.insert(describe(reason));
  }
  CHECK(words.size() == kAllNotDirect.size());
  CHECK(sentences.size() == kAllNotDirect.size());
  CHECK_FALSE(words.contains(""));
  CHECK_FALSE(sentences.contains(""));
}
