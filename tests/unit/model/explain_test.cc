#include "model/explain.h"

#include <catch2/catch.hpp>

#include "chains.h"

using namespace sockmesh;
using namespace sockmesh::model;

namespace {

OriginPtr service(const char* name, const char* ns) {
  return std::make_shared<const Origin>(Origin{"Service", name, ns, "mesh.yaml", 3});
}

ClusterPtr cluster(const std::string& name, ClusterType type, OriginPtr origin, Health health) {
  auto made = std::make_shared<Cluster>();
  made->name = name;
  made->type = type;
  made->origin = std::move(origin);
  Endpoint endpoint;
  endpoint.address = SocketAddress::parse("10.244.1.1:9000").value();
  endpoint.health = health;
  made->endpoints = {endpoint};
  return made;
}

bool says(const std::vector<std::string>& texts, const std::string& part) {
  for (const std::string& text : texts)
    if (text.find(part) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("the accident of an ExternalName that takes a port is named, with its cures") {
  Snapshot snapshot;
  snapshot.self.ns = "manager";
  snapshot.listeners = {listener("0.0.0.0_5701", {"0.0.0.0:5701"}, {to("outbound|5701||app-ext")}),
                        listener(kVirtualOutbound, {"0.0.0.0:15001"}, {to(kPassthroughCluster)})};
  snapshot.clusters["outbound|5701||app-ext"] =
      cluster("outbound|5701||app-ext", ClusterType::kStrictDns, service("app-ext", "app"), Health::kHealthy);
  snapshot.index();
  const Explanation explanation = explain(snapshot, dial("10.244.9.10:5701"));
  CHECK(explanation.listener == "0.0.0.0_5701");
  CHECK(says(explanation.cures, "drop port 5701 from Service app-ext.app"));
  CHECK(says(explanation.cures, "exportTo: \".\""));
  CHECK(says(explanation.cures, "a Sidecar in namespace manager"));
  CHECK(says(explanation.cures, "a port other than 5701"));
  CHECK(explanation.expected.to_string() == "-");
}

TEST_CASE("flags that every connection would end with") {
  Snapshot snapshot;
  snapshot.listeners = {listener("a_1", {"10.0.0.1:1"}, {to("sick")}),
                        listener("b_1", {"10.0.0.2:1"}, {to("missing")}),
                        listener("c_1", {"10.0.0.3:1"}, {to("a", sni({"a.com"}))})};
  snapshot.clusters["sick"] =
      cluster("sick", ClusterType::kEds, service("sick", "default"), Health::kUnhealthy);
  snapshot.index();
  CHECK(explain(snapshot, dial("10.0.0.1:1")).expected.to_string() == "UH");
  CHECK(explain(snapshot, dial("10.0.0.2:1")).expected.to_string() == "NC");
  CHECK(explain(snapshot, dial("10.0.0.3:1", TlsHello{true, "b.com", {}})).expected.to_string() == "NR");
  CHECK(explain(snapshot, dial("10.0.0.9:1")).expected.to_string() == "-");  // nothing is captured: refused
}

TEST_CASE("the ports that are told are those on which the proxy listens") {
  Snapshot snapshot;
  snapshot.listeners = {listener(kVirtualOutbound, {"0.0.0.0:25001"}, {to(kPassthroughCluster)})};
  snapshot.index();
  CHECK(says({explain(snapshot, dial("10.0.0.1:80")).steps.front().text}, "is redirected to port 25001"));
}

TEST_CASE("where nobody listens, the servers of gateways that are not opened there are told") {
  const auto finding = [](const char* text, std::vector<uint16_t> ports) {
    return Finding{"SM0102", Severity::kWarning, service("gateway", "default"), text, std::move(ports)};
  };
  Snapshot snapshot;
  snapshot.findings = {finding("server port 80 (bound as 8080) has no hosts", {80, 8080}),
                       finding("server port 8080 is what this text begins with", {}),
                       finding("about another port", {443, 443})};
  snapshot.index();
  const auto told = [&](const char* to) {
    std::vector<std::string> texts;
    for (const Loser& loser : explain(snapshot, dial(to)).losers) texts.push_back(loser.reason);
    return texts;
  };
  const std::vector<std::string> both{"server port 80 (bound as 8080) has no hosts"};
  CHECK(told("10.0.0.1:80") == both);
  CHECK(told("10.0.0.1:8080") == both);
  CHECK(told("10.0.0.1:443") == std::vector<std::string>{"about another port"});
  CHECK(told("10.0.0.1:81").empty());
}

TEST_CASE("a loser at one address is told there only") {
  Snapshot snapshot;
  auto outbound = listener(kVirtualOutbound, {"0.0.0.0:15001"}, {to(kPassthroughCluster)});
  outbound->losers.push_back({service("hidden", "other"), "listener 10.0.0.1_80", "exportTo [.]",
                              SocketAddress::parse("10.0.0.1:80").value()});
  snapshot.listeners = {outbound};
  snapshot.index();
  CHECK(explain(snapshot, dial("10.0.0.1:80")).losers.size() == 1);
  CHECK(explain(snapshot, dial("10.0.0.2:80")).losers.empty());
}
