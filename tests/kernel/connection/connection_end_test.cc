// An agent that ends resets whatever is open, in whichever state it is: the client sees RST, the log has its
// line, and nothing that goes on is touched.
#include <catch2/catch.hpp>

#include "proxy.h"
#include "test_support/eventually.h"

using namespace sockmesh;
using namespace sockmesh::test;
using namespace std::chrono_literals;
using telemetry::ConnectionState;

namespace {

constexpr size_t kClients = 3;

// Clients that are all in `state`.
std::vector<Peer> clients_in(Proxy& proxy, ConnectionState state) {
  std::vector<Peer> clients;
  for (size_t i = 0; i < kClients; ++i) clients.push_back(proxy.connect());
  EVENTUALLY([&] {
    const auto flows = proxy.flows();
    return flows.size() == kClients &&
           std::all_of(flows.begin(), flows.end(), [&](const auto& flow) { return flow.state == state; });
  }());
  return clients;
}

void check_the_end(Proxy& proxy, std::vector<Peer>& clients) {
  proxy.end();
  for (Peer& client : clients) CHECK(client.end() == "reset");
  for (size_t i = 0; i < clients.size(); ++i) CHECK(proxy.logged().flags == "-");
  EVENTUALLY(proxy.open() == 0);
  CHECK(proxy.log_lines() == clients.size());
}

}  // namespace

TEST_CASE("connections that are reset, in each state") {
  const event::Backend backend = GENERATE(from_range(backends()));
  const bool ipv6 = GENERATE(false, true);
  CAPTURE(ipv6, backend == event::Backend::kIoUring);
  BlackHole hole(ipv6);
  Server server(ipv6);
  Proxy proxy(1000, backend, ipv6);
  model::Cluster& cluster = proxy.cluster("echo", {server.address()});
  model::FilterChain& chain = proxy.chain("plain", {"echo"});

  SECTION("held: no configuration yet") {
    // It goes to the place configured now once it is published, which is after the end.
    auto clients = clients_in(proxy, ConnectionState::kAccepted);
    proxy.end();
    for (Peer& client : clients) CHECK(client.end() == "reset");
    EVENTUALLY(proxy.open() == 0);
    proxy.publish();
    Peer next = proxy.connect();
    server.accept().say("x");
    CHECK(next.hear(1) == "x");
  }
  SECTION("a PROXY header is awaited") {
    proxy.listener().accept_proxy_protocol = true;
    proxy.publish();
    auto clients = clients_in(proxy, ConnectionState::kInspecting);
    check_the_end(proxy, clients);
  }
  SECTION("a part of a PROXY header has come") {
    proxy.listener().accept_proxy_protocol = true;
    proxy.publish();
    auto clients = clients_in(proxy, ConnectionState::kInspecting);
    for (Peer& client : clients) client.say("PROXY TCP");
    check_the_end(proxy, clients);
  }
  SECTION("a TLS hello is awaited") {
    chain.match.server_names = {"db.example.com"};
    chain.match.transport = model::TransportProtocol::kTls;
    proxy.listener().inspect_tls = true;
    proxy.publish();
    auto clients = clients_in(proxy, ConnectionState::kInspecting);
    if (GENERATE(false, true))
      for (Peer& client : clients) client.say(std::string("\x16\x03\x01\x02", 4));
    check_the_end(proxy, clients);
  }
  SECTION("the upstream is dialled") {
    cluster.endpoints[0].address = hole.server.address();
    cluster.connect_timeout = 60s;
    proxy.publish();
    auto clients = clients_in(proxy, ConnectionState::kConnecting);
    check_the_end(proxy, clients);
    EVENTUALLY(proxy.registry().find("echo")->active() == 0);
  }
  SECTION("the client speaks while the upstream is dialled") {
    cluster.endpoints[0].address = hole.server.address();
    cluster.connect_timeout = 60s;
    proxy.publish();
    auto clients = clients_in(proxy, ConnectionState::kConnecting);
    for (Peer& client : clients) client.say("hello");
    check_the_end(proxy, clients);
  }
  SECTION("relaying") {
    proxy.publish();
    auto clients = clients_in(proxy, ConnectionState::kRelaying);
    std::vector<Peer> upstreams;
    for (size_t i = 0; i < clients.size(); ++i) upstreams.push_back(server.accept());
    check_the_end(proxy, clients);
    for (Peer& upstream : upstreams) CHECK(upstream.end() == "reset");
  }
}

TEST_CASE("whoever is not reset goes on beside those that are") {
  const event::Backend backend = GENERATE(from_range(backends()));
  BlackHole hole(false);
  Server server;
  Proxy proxy(1000, backend);
  proxy.cluster("hole", {hole.server.address()}).connect_timeout = 60s;
  proxy.chain("plain", {"hole"});
  proxy.publish();
  auto dialling = clients_in(proxy, ConnectionState::kConnecting);
  proxy.cluster("hole", {server.address()});
  proxy.publish();
  // Numbers of descriptors are used again at once, by whoever comes next.
  for (int round = 0; round < 20; ++round) {
    Peer client = proxy.connect();
    Peer upstream = server.accept();
    if (round == 10) {
      for (Peer& one : dialling) one.reset();
      for (size_t i = 0; i < kClients; ++i) CHECK(proxy.logged().flags == "-");
    }
    client.say("ping");
    CHECK(upstream.hear(4) == "ping");
    upstream.say("pong");
    CHECK(client.hear(4) == "pong");
    client.close();
    CHECK(upstream.end() == "eof");
    upstream.close();
    CHECK(proxy.logged().flags == "-");
  }
}
