// Connections that come to stand: what both ends see, and the line that is left of it.
#include <catch2/catch.hpp>

#include "proxy.h"
#include "test_support/descriptors.h"
#include "test_support/eventually.h"

using namespace sockmesh;
using namespace sockmesh::test;
using namespace std::chrono_literals;

TEST_CASE("bytes go both ways and are counted in the one log line") {
  Server server;
  Proxy proxy;
  proxy.lead_to("echo", {server.address()});

  Peer client = proxy.connect();
  client.say("hello");
  Peer upstream = server.accept();
  CHECK(upstream.hear(5) == "hello");
  upstream.say("hi!");
  CHECK(client.hear(3) == "hi!");
  EVENTUALLY(proxy.flows().at(0).bytes_received == 5);
  const auto flow = proxy.flows().at(0);
  CHECK(flow.state == telemetry::ConnectionState::kRelaying);
  CHECK(flow.lane == model::Lane::kEpoll);
  const std::string client_address = client.local().to_string();
  const std::string upstream_local = upstream.remote().to_string();
  CHECK_FALSE(flow.downstream_closed);
  client.finish();
  CHECK(upstream.end() == "eof");
  EVENTUALLY(proxy.flows().at(0).downstream_closed);
  CHECK_FALSE(proxy.flows().at(0).upstream_closed);
  upstream.say("late");  // half-closed, not closed
  CHECK(client.hear(4) == "late");
  upstream.close();
  CHECK(client.end() == "eof");

  const LogLine line = proxy.logged();
  CHECK(line.flags == "-");
  CHECK(line.received == "5");
  CHECK(line.sent == "7");
  CHECK(line.upstream == server.address().to_string());
  CHECK(line.cluster == "echo");
  CHECK(line.upstream_local == upstream_local);
  CHECK(line.destination == proxy.address().to_string());
  CHECK(line.client == client_address);
  CHECK(proxy.log_lines() == 1);
  EVENTUALLY(proxy.open() == 0);
  CHECK(proxy.registry().find("echo")->active() == 0);
}

TEST_CASE("a server that speaks first is not waited for") {
  Server server;
  Proxy proxy;
  proxy.lead_to("smtp", {server.address()});
  Peer client = proxy.connect();
  server.accept().say("220 ready");
  CHECK(client.hear(9) == "220 ready");
}

TEST_CASE("connections made before there is a configuration are held, then served") {
  Server server;
  Proxy proxy;
  std::vector<Peer> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(proxy.connect());
    clients.back().say("early");
  }
  EVENTUALLY(proxy.open() == 20);
  proxy.lead_to("echo", {server.address()});
  for (int i = 0; i < 20; ++i) CHECK(server.accept().hear(5) == "early");
  clients.clear();
  for (int i = 0; i < 20; ++i) CHECK(proxy.logged().flags == "-");
}

TEST_CASE("so many connections are held for a configuration, the others wait in the backlog") {
  constexpr size_t kHeld = connection::Connections::kMaxHeld, kAll = kHeld + 10;
  allow_descriptors(6 * kAll);
  Server server(false, kAll);
  Proxy proxy(2 * kAll);
  std::vector<Peer> clients;
  for (size_t i = 0; i < kAll; ++i) clients.push_back(proxy.connect());
  EVENTUALLY(proxy.open() == kHeld);
  for (int turn = 0; turn < 3; ++turn) CHECK(proxy.flows().size() == kHeld);  // asked of its loop
  proxy.lead_to("echo", {server.address()});
  EVENTUALLY(proxy.open() == kAll);
}

TEST_CASE("of those who wait 64 are accepted in a turn of the loop, and then its other work is done") {
  constexpr size_t kAll = 300;
  allow_descriptors(4 * kAll);
  Proxy proxy(kAll, GENERATE(from_range(backends())));
  std::vector<Peer> clients;
  const auto wait_in_the_backlog = [&] {
    while (clients.size() < kAll) clients.push_back(proxy.connect());
  };
  const std::vector<size_t> open = proxy.open_by_turns(wait_in_the_backlog, kAll);
  CAPTURE(open);
  for (size_t turn = 1; turn < open.size(); ++turn) CHECK(open[turn] - open[turn - 1] <= 64);
}

TEST_CASE("another configuration does not touch an open connection") {
  Server before, after;
  Proxy proxy;
  proxy.lead_to("echo", {before.address()});
  Peer client = proxy.connect();
  Peer upstream = before.accept();
  for (int i = 0; i < 10; ++i) {
    proxy.cluster("echo", {after.address()});
    proxy.publish();
  }
  client.say("still here");
  CHECK(upstream.hear(10) == "still here");
  Peer second = proxy.connect();
  second.say("new");
  CHECK(after.accept().hear(3) == "new");
}

TEST_CASE("weights are drawn for each connection") {
  Server heavy, light;
  Proxy proxy;
  proxy.cluster("heavy", {heavy.address()});
  proxy.cluster("light", {light.address()});
  auto& chain = proxy.chain("weighted", {"heavy", "light"});
  chain.route.clusters[0].weight = 80;
  chain.route.clusters[1].weight = 20;
  proxy.publish();
  int to_heavy = 0;
  for (int i = 0; i < 200; ++i) {
    Peer client = proxy.connect();
    Peer upstream = (eventually([&] { return !heavy.nobody_waits() || !light.nobody_waits(); }),
                     heavy.nobody_waits() ? light.accept() : heavy.accept());
    upstream.close();
    CHECK(client.end() == "eof");
    client.close();
    to_heavy += proxy.logged().cluster == "heavy" ? 1 : 0;
  }
  CHECK(to_heavy > 130);
  CHECK(to_heavy < 185);
}

TEST_CASE("the cluster's source address is bound") {
  Server server;
  Proxy proxy;
  proxy.cluster("inbound", {server.address()}).bind_source_v4 = IpAddress::parse("127.0.0.6").value();
  proxy.chain("plain", {"inbound"});
  proxy.publish();
  Peer client = proxy.connect();
  CHECK(server.accept().remote().ip.to_string() == "127.0.0.6");
  client.close();
  CHECK(proxy.logged().upstream_local.starts_with("127.0.0.6:"));
}

TEST_CASE("upstreams over IPv6") {
  Proxy proxy;
  Server six(true);
  proxy.lead_to("six", {six.address()});
  Peer client = proxy.connect();
  six.accept().say("six");
  CHECK(client.hear(3) == "six");
  client.close();
  CHECK(proxy.logged().upstream == six.address().to_string());
}

TEST_CASE("a connection may last so long and no longer") {
  Server server;
  Proxy proxy;
  proxy.cluster("echo", {server.address()});
  proxy.chain("plain", {"echo"}).route.max_connection_duration = Duration(50ms);
  proxy.publish();
  Peer client = proxy.connect();
  Peer upstream = server.accept();
  CHECK_FALSE(client.end() == "nothing happened");
  CHECK(proxy.logged().flags == "DT");
}

TEST_CASE("an upstream's reset is passed on and flagged, a client's is not") {
  Server server;
  Proxy proxy;
  proxy.lead_to("echo", {server.address()});
  Peer client = proxy.connect();
  server.accept().reset();
  CHECK(client.end() == "reset");
  CHECK(proxy.logged().flags == "UR");

  Peer other = proxy.connect();
  Peer upstream = server.accept();
  other.say("x");
  CHECK(upstream.hear(1) == "x");
  other.reset();
  CHECK(upstream.end() == "reset");
  CHECK(proxy.logged().flags == "-");
}
