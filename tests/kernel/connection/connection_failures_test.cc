// Connections that come to nothing: the flag in the log and what the client sees.
#include <catch2/catch.hpp>

#include "proxy.h"
#include "test_support/eventually.h"

using namespace sockmesh;
using namespace sockmesh::test;
using namespace std::chrono_literals;

namespace {

// One connection through a proxy whose only chain leads to `cluster`.
LogLine line_of_one(Proxy& proxy, const std::string& cluster) {
  proxy.chain("plain", {cluster});
  proxy.publish();
  Peer client = proxy.connect();
  CHECK(client.end() == "eof");
  return proxy.logged();
}

}  // namespace

TEST_CASE("a route that leads back to its own listener ends after a few rounds") {
  Proxy proxy;
  proxy.lead_to("circle", {proxy.address()});
  Peer client = proxy.connect();
  CHECK(client.end() != "nothing happened");
  LogLine line = proxy.logged();  // of the last round
  CHECK(line.flags == "UH");
  CHECK(line.details == "proxy_loop");
  CHECK(line.cluster == "BlackHoleCluster");
  client.close();
  for (int round = 0; round < 4; ++round) CHECK(proxy.logged().cluster == "circle");
  EVENTUALLY(proxy.open() == 0);
  CHECK(proxy.log_lines() == 5);
}

TEST_CASE("a refused connect is UF,URX") {
  Proxy proxy;
  proxy.cluster("dead", {nobody()});
  const LogLine line = line_of_one(proxy, "dead");
  CHECK(line.flags == "UF,URX");
  CHECK(line.failure == "delayed_connect_error:_Connection_refused");
  CHECK(line.upstream == nobody().to_string());
  CHECK(line.cluster == "dead");
  CHECK(line.upstream_local == "-");
  CHECK(line.received == "0");
}

TEST_CASE("a cluster without hosts is UH") {
  Proxy proxy;
  proxy.cluster("BlackHoleCluster", {});
  const LogLine line = line_of_one(proxy, "BlackHoleCluster");
  CHECK(line.flags == "UH");
  CHECK(line.upstream == "-");
  CHECK(line.cluster == "BlackHoleCluster");
}

TEST_CASE("unread bytes of the client turn the close into a reset") {
  Proxy proxy;
  Peer client = proxy.connect();  // held: its bytes are there before anything is decided
  client.say("hello");
  EVENTUALLY(proxy.open() == 1);
  proxy.lead_to("BlackHoleCluster", {});
  CHECK(client.end() == "reset");
  const LogLine line = proxy.logged();
  CHECK(line.flags == "UH");
  CHECK(line.received == "0");
}

TEST_CASE("a cluster that does not exist is NC, without a cluster in the log") {
  Proxy proxy;
  const LogLine line = line_of_one(proxy, "outbound|80|v9|echo");
  CHECK(line.flags == "NC");
  CHECK(line.upstream == "-");
  CHECK(line.cluster == "-");
}

TEST_CASE("no chain is NR") {
  Proxy proxy;
  proxy.cluster("echo", {nobody()});
  proxy.chain("elsewhere", {"echo"}).match.destination_port = 1;
  proxy.publish();
  CHECK(proxy.connect().end() == "eof");
  const LogLine line = proxy.logged();
  CHECK(line.flags == "NR");
  CHECK(line.details == "filter_chain_not_found");
  CHECK(line.cluster == "-");
}

TEST_CASE("an ORIGINAL_DST cluster where nobody redirected is UH") {
  Proxy proxy;
  proxy.cluster("outbound|80||headless", {}).type = model::ClusterType::kOriginalDst;
  CHECK(line_of_one(proxy, "outbound|80||headless").flags == "UH");
}

TEST_CASE("more connections than the cluster may have are UO, nothing is dialled") {
  Server server;
  Proxy proxy;
  proxy.cluster("echo", {server.address()}).max_connections = 1;
  proxy.chain("plain", {"echo"});
  proxy.publish();
  Peer first = proxy.connect();
  Peer upstream = server.accept();
  CHECK(proxy.connect().end() == "eof");
  const LogLine line = proxy.logged();
  CHECK(line.flags == "UO");
  CHECK(line.upstream == "-");
  CHECK(server.nobody_waits());

  first.close();
  upstream.close();
  CHECK(proxy.logged().flags == "-");
  Peer third = proxy.connect();  // the place was given back
  server.accept().say("x");
  CHECK(third.hear(1) == "x");
}

TEST_CASE("a host that refuses is passed over for another one") {
  Server server;
  Proxy proxy;
  proxy.lead_to("echo", {nobody(), server.address()});
  uint32_t most_attempts = 0;
  for (int i = 0; i < 4; ++i) {
    Peer client = proxy.connect();
    Peer upstream = server.accept();
    EVENTUALLY((proxy.flows().size() == 1 && proxy.flows()[0].connect_attempts > 0));
    most_attempts = std::max(most_attempts, proxy.flows().at(0).connect_attempts);
    upstream.close();
    client.close();
    const LogLine line = proxy.logged();
    CHECK(line.flags == "-");
    CHECK(line.failure == "-");
    CHECK(line.upstream == server.address().to_string());
    EVENTUALLY(proxy.open() == 0);
  }
  CHECK(most_attempts == 2);  // round robin met the dead one too
}

TEST_CASE("three hosts are tried for a connection and no more") {
  std::vector<SocketAddress> dead;  // nobody listens on any of them
  for (uint32_t i = 1; i <= 8; ++i) dead.push_back({IpAddress::v4(0x7f000000 + i), nobody().port});
  Proxy proxy;
  proxy.cluster("dead", dead);
  CHECK(line_of_one(proxy, "dead").flags == "UF,URX");
  CHECK(proxy.registry().find("dead")->connect_failures == 3);
}

TEST_CASE("a host whose connects fail is ejected") {
  Server server;
  Proxy proxy;
  auto& cluster = proxy.cluster("echo", {nobody(), server.address()});
  cluster.outlier = model::OutlierDetection{};
  cluster.outlier->consecutive_5xx = 2;
  cluster.outlier->max_ejection_percent = 50;
  proxy.chain("plain", {"echo"});
  proxy.publish();
  for (int i = 0; i < 8; ++i) {
    Peer client = proxy.connect();
    server.accept().close();
    CHECK(client.end() == "eof");
    client.close();
    proxy.logged();
  }
  const auto endpoints = proxy.registry().find("echo")->endpoints(monotonic_now());
  REQUIRE(endpoints.size() == 2);
  for (const auto& endpoint : endpoints) {
    const bool dead = endpoint.address == nobody().to_string();
    CHECK(endpoint.ejected == dead);
    if (dead) CHECK(endpoint.failures == 2);  // and was left alone since
  }
}

TEST_CASE("a connect that is not answered ends with the timeout") {
  // A full backlog drops SYNs: one connection is in it, a second one behind it.
  Server full(false, 0);
  const Fd fillers[] = {Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
                        Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))};
  for (const Fd& filler : fillers) {
    sockaddr_storage storage{};
    const socklen_t length = full.address().to_sockaddr(storage);
    connect(filler.get(), reinterpret_cast<const sockaddr*>(&storage), length);
  }
  Proxy proxy;
  proxy.cluster("stuck", {full.address()}).connect_timeout = 100ms;
  const LogLine line = line_of_one(proxy, "stuck");
  CHECK(line.flags == "UF,URX");
  CHECK(line.failure == "-");
  CHECK(line.upstream == full.address().to_string());
}

TEST_CASE("a client that goes while we connect leaves no flag and no upstream") {
  Server full(false, 0);
  const Fd fillers[] = {Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
                        Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))};
  for (const Fd& filler : fillers) {
    sockaddr_storage storage{};
    const socklen_t length = full.address().to_sockaddr(storage);
    connect(filler.get(), reinterpret_cast<const sockaddr*>(&storage), length);
  }
  Proxy proxy;
  proxy.cluster("stuck", {full.address()}).connect_timeout = 60s;
  proxy.chain("plain", {"stuck"});
  proxy.publish();
  Peer client = proxy.connect();
  EVENTUALLY(
      (proxy.flows().size() == 1 && proxy.flows()[0].state == telemetry::ConnectionState::kConnecting));
  client.reset();
  CHECK(proxy.logged().flags == "-");
  EVENTUALLY(proxy.registry().find("stuck")->active() == 0);
}

TEST_CASE("above its limit the agent sheds connections: OM and a reset") {
  Server server;
  Proxy proxy(1);
  proxy.lead_to("echo", {server.address()});
  Peer first = proxy.connect();
  Peer upstream = server.accept();
  CHECK(proxy.connect().end() == "reset");
  CHECK(proxy.logged().flags == "OM");
  first.close();
  upstream.close();
  CHECK(proxy.logged().flags == "-");
  EVENTUALLY(proxy.open() == 0);
  Peer third = proxy.connect();
  server.accept().say("x");
  CHECK(third.hear(1) == "x");
}
