#include "server/local_listeners.h"

#include <catch2/catch.hpp>

using namespace sockmesh;
using namespace sockmesh::server;

namespace {

constexpr char kTcp[] =
    "  sl  local_address rem_address   st tx_queue rx_queue\n"
    "   0: 0100007F:2328 00000000:0000 0A 00000000:00000000\n"   // 127.0.0.1:9000
    "   1: 00000000:2329 00000000:0000 0A 00000000:00000000\n"   // 0.0.0.0:9001
    "   2: 0100007F:232A 00000000:0000 0A 00000000:00000000\n"   // 127.0.0.1:9002, and [::]:9002
    "   3: 0100007F:232C 0100007F:9999 01 00000000:00000000\n";  // a connection
constexpr char kTcp6[] =
    "  sl  local_address                         remote_address                        st\n"
    "   0: 00000000000000000000000000000000:232A 00000000000000000000000000000000:0000 0A\n"
    "   1: 00000000000000000000000001000000:232B 00000000000000000000000000000000:0000 0A\n"  // [::1]:9003
    "   2: 0000000000000000FFFF00000100007F:232D 00000000000000000000000000000000:0000 0A\n";  // 127.0.0.1:9005

model::Snapshot exposing(std::vector<uint16_t> ports, model::ClusterType type) {
  model::Snapshot snapshot;
  auto listener = std::make_shared<model::Listener>();
  listener->name = "virtualInbound";
  listener->direction = model::Direction::kInbound;
  auto cluster = std::make_shared<model::Cluster>();
  cluster->name = "inbound";
  cluster->type = type;
  snapshot.clusters.emplace("inbound", cluster);
  for (const uint16_t port : ports) {
    model::FilterChain chain;
    chain.match.destination_port = port;
    chain.route.clusters.push_back({"inbound", 1});
    listener->chains.push_back(chain);
  }
  snapshot.listeners = {listener};
  snapshot.virtual_inbound = listener.get();
  return snapshot;
}

}  // namespace

TEST_CASE("ports on which somebody listens on loopback alone") {
  CHECK(loopback_only_ports(kTcp, kTcp6) == std::set<uint16_t>{9000, 9003, 9005});
  CHECK(loopback_only_ports("", "").empty());
  CHECK(loopback_only_ports("heading\nnonsense\n", "").empty());
}

TEST_CASE("IST0143: such a port is exposed in a Service, and dialled at the pod's address") {
  const auto pod = std::make_shared<const model::Origin>(model::Origin{"Pod", "web-0", "default", "", 0});
  const auto found =
      localhost_findings(exposing({9000, 9001, 9000}, model::ClusterType::kOriginalDst), {9000, 9003}, pod);
  REQUIRE(found.size() == 1);
  CHECK(found[0].code == "IST0143");
  CHECK(found[0].severity == model::Severity::kError);
  CHECK(found[0].object == pod);
  CHECK(found[0].text ==
        "Port 9000 is exposed in a Service but listens on localhost. It will not be exposed to other pods.");
  // inboundTrafficPolicy LOCALHOST, a Sidecar's defaultEndpoint.
  CHECK(localhost_findings(exposing({9000}, model::ClusterType::kStatic), {9000}, pod).empty());
  CHECK(localhost_findings(model::Snapshot{}, {9000}, pod).empty());
}
