#include "model/match.h"

#include <catch2/catch.hpp>

#include "chains.h"

using namespace sockmesh;
using namespace sockmesh::model;

namespace {

FilterChain own_port(uint16_t port) {
  FilterChain chain = to(kBlackHoleCluster);
  chain.match.destination_port = port;
  chain.log = false;
  return chain;
}

Snapshot mesh(std::vector<std::shared_ptr<Listener>> more) {
  Snapshot snapshot;
  snapshot.listeners.push_back(
      listener(kVirtualOutbound, {"0.0.0.0:15001"}, {own_port(15001), to(kPassthroughCluster)}));
  auto inbound =
      listener(kVirtualInbound, {"0.0.0.0:15006"}, {own_port(15006), to(kInboundPassthroughCluster)});
  FilterChain port = to("inbound|9000||");
  port.match.destination_port = 9000;
  inbound->chains.push_back(port);
  inbound->direction = Direction::kInbound;
  snapshot.listeners.push_back(inbound);
  for (auto& one : more) snapshot.listeners.push_back(std::move(one));
  snapshot.index();
  return snapshot;
}

}  // namespace

TEST_CASE("exact address, then wildcard of the family, then the catch-all") {
  const Snapshot snapshot = mesh({listener("10.96.1.10_9000", {"10.96.1.10:9000"}, {to("vip")}),
                                  listener("0.0.0.0_9000", {"0.0.0.0:9000"}, {to("any4")}),
                                  listener("::_9001", {"[::]:9001"}, {to("any6")})});
  CHECK(cluster_of(snapshot, dial("10.96.1.10:9000")) == "vip");
  CHECK(cluster_of(snapshot, dial("10.96.1.11:9000")) == "any4");
  CHECK(cluster_of(snapshot, dial("10.96.1.10:9001")) == kPassthroughCluster);
  CHECK(cluster_of(snapshot, dial("[fd00::1]:9001")) == "any6");
  CHECK(cluster_of(snapshot, dial("[fd00::1]:9000")) == kPassthroughCluster);
}

TEST_CASE("somebody dialling the capture port itself is dropped without a log line") {
  const Snapshot snapshot = mesh({});
  const Decision decision = match(snapshot, dial("10.0.0.1:15001"));
  REQUIRE(decision.chain);
  CHECK(decision.chain->route.clusters.front().cluster == kBlackHoleCluster);
  CHECK_FALSE(decision.chain->log);
}

TEST_CASE("inbound asks for the port only") {
  const Snapshot snapshot = mesh({});
  ConnectionInfo connection = dial("10.1.1.1:9000");
  connection.direction = Direction::kInbound;
  CHECK(cluster_of(snapshot, connection) == "inbound|9000||");
  connection.destination.port = 9001;
  CHECK(cluster_of(snapshot, connection) == kInboundPassthroughCluster);
  connection.destination.port = 15006;
  CHECK(cluster_of(snapshot, connection) == kBlackHoleCluster);
}

TEST_CASE("the longest prefix wins, whatever the order of the chains") {
  auto wide = listener("0.0.0.0_9000", {"0.0.0.0:9000"},
                       {to("rest"), to("16", in({"10.50.0.0/16"})), to("24", in({"10.50.1.0/24"})),
                        to("25", in({"10.50.1.128/25", "10.60.0.0/14"}))});
  const Snapshot snapshot = mesh({wide});
  CHECK(cluster_of(snapshot, dial("10.50.1.2:9000")) == "24");
  CHECK(cluster_of(snapshot, dial("10.50.1.130:9000")) == "25");
  CHECK(cluster_of(snapshot, dial("10.50.2.2:9000")) == "16");
  CHECK(cluster_of(snapshot, dial("10.61.0.1:9000")) == "25");
  CHECK(cluster_of(snapshot, dial("11.0.0.1:9000")) == "rest");
}

TEST_CASE("server names: exact, then the longest wildcard, then what has none") {
  auto tls = listener("10.96.1.10_443", {"10.96.1.10:443"},
                      {to("a", sni({"a.example.com"})), to("wild", sni({"*.example.com"})),
                       to("deep", sni({"*.b.example.com"}))});
  tls->default_chain = to(kPassthroughCluster);
  const Snapshot snapshot = mesh({tls});
  const auto hello = [](std::string name) {
    return dial("10.96.1.10:443", TlsHello{true, std::move(name), {}});
  };
  CHECK(cluster_of(snapshot, hello("a.example.com")) == "a");
  CHECK(cluster_of(snapshot, hello("x.a.example.com")) == "wild");
  CHECK(cluster_of(snapshot, hello("x.b.example.com")) == "deep");
  CHECK(cluster_of(snapshot, hello("b.example.com")) == "wild");
  CHECK(cluster_of(snapshot, hello("example.com")) == kPassthroughCluster);
  CHECK(cluster_of(snapshot, hello("")) == kPassthroughCluster);
  CHECK(cluster_of(snapshot, dial("10.96.1.10:443", TlsHello{})) == kPassthroughCluster);
  CHECK(cluster_of(snapshot, dial("10.96.1.10:443")) == "?");
}

TEST_CASE("a more specific prefix whose server names fail does not go back") {
  auto tls = listener("0.0.0.0_443", {"0.0.0.0:443"},
                      {to("inside", in({"10.0.0.0/8"}, {"a.com"})), to("outside", sni({"b.com"}))});
  tls->default_chain = to("default");
  const Snapshot snapshot = mesh({tls});
  CHECK(cluster_of(snapshot, dial("10.1.1.1:443", TlsHello{true, "a.com", {}})) == "inside");
  CHECK(cluster_of(snapshot, dial("10.1.1.1:443", TlsHello{true, "b.com", {}})) == "default");
  CHECK(cluster_of(snapshot, dial("11.1.1.1:443", TlsHello{true, "b.com", {}})) == "outside");
}

TEST_CASE("bytes are asked for only where they decide") {
  auto mixed = listener("0.0.0.0_443", {"0.0.0.0:443"},
                        {to("plain", in({"10.1.0.0/16"})), to("named", in({"10.2.0.0/16"}, {"a.com"}))});
  mixed->inspect_tls = true;
  mixed->default_chain = to("default");
  FilterChain tls = to("same"), raw = to("same");
  tls.match.transport = TransportProtocol::kTls;
  raw.match.transport = TransportProtocol::kRawBuffer;
  const Snapshot snapshot = mesh({mixed, listener("10.9.9.9_443", {"10.9.9.9:443"}, {tls, raw})});
  CHECK(cluster_of(snapshot, dial("10.1.0.1:443")) == "plain");
  CHECK(cluster_of(snapshot, dial("10.2.0.1:443")) == "?");
  CHECK(cluster_of(snapshot, dial("10.3.0.1:443")) == "default");
  CHECK(cluster_of(snapshot, dial("10.9.9.9:443")) == "same");
}

TEST_CASE("transport and application protocol decide last") {
  FilterChain mtls = to("mtls"), tls = to("tls"), raw = to("raw");
  mtls.match.transport = tls.match.transport = TransportProtocol::kTls;
  mtls.match.application_protocols = {"istio", "istio-peer-exchange"};
  raw.match.transport = TransportProtocol::kRawBuffer;
  const Snapshot snapshot = mesh({listener("10.9.9.9_443", {"10.9.9.9:443"}, {mtls, tls, raw})});
  CHECK(cluster_of(snapshot, dial("10.9.9.9:443")) == "?");
  CHECK(cluster_of(snapshot, dial("10.9.9.9:443", TlsHello{true, "x", {"h2", "istio"}})) == "mtls");
  CHECK(cluster_of(snapshot, dial("10.9.9.9:443", TlsHello{true, "x", {"h2"}})) == "tls");
  CHECK(cluster_of(snapshot, dial("10.9.9.9:443", TlsHello{})) == "raw");
}

TEST_CASE("a bound listener is not looked up, and nothing is a match without a default chain") {
  auto gateway = listener("0.0.0.0_443", {"0.0.0.0:443"}, {to("a", sni({"a.com"}))});
  gateway->bind_to_port = true;
  gateway->direction = Direction::kOutbound;
  const Snapshot snapshot = mesh({gateway});
  CHECK(cluster_of(snapshot, dial("10.1.1.1:443")) == kPassthroughCluster);
  ConnectionInfo connection = dial("10.1.1.1:443", TlsHello{true, "b.com", {}});
  connection.bound = gateway.get();
  CHECK(cluster_of(snapshot, connection) == "NR");
  connection.hello->server_name = "a.com";
  CHECK(cluster_of(snapshot, connection) == "a");
}

TEST_CASE("egress lists: permit wins, only what leaves the mesh is looked at") {
  Snapshot snapshot = mesh({listener("10.96.1.10_9000", {"10.96.1.10:9000"}, {to("vip")})});
  snapshot.egress.block = {Prefix::parse("10.0.0.0/8").value()};
  snapshot.egress.permit = {Prefix::parse("10.1.0.0/16").value()};
  snapshot.index();
  CHECK(cluster_of(snapshot, dial("10.2.0.1:80")) == kBlackHoleCluster);
  CHECK(match(snapshot, dial("10.2.0.1:80")).egress_blocked);
  CHECK(cluster_of(snapshot, dial("10.1.0.1:80")) == kPassthroughCluster);
  CHECK(cluster_of(snapshot, dial("11.0.0.1:80")) == kPassthroughCluster);
  CHECK(cluster_of(snapshot, dial("10.96.1.10:9000")) == "vip");
  snapshot.egress.block_all = true;
  CHECK(cluster_of(snapshot, dial("11.0.0.1:80")) == kBlackHoleCluster);
  CHECK(cluster_of(snapshot, dial("10.1.0.1:80")) == kPassthroughCluster);
}

TEST_CASE("a snapshot without listeners answers nothing rather than crash") {
  CHECK(cluster_of(Snapshot{}, dial("10.0.0.1:1")) == "NR");
}
