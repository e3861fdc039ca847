// Connections whose first bytes matter: server names, PROXY headers in and out.
#include <poll.h>

#include <catch2/catch.hpp>

#include "client_hello.h"
#include "connection/proxy_protocol.h"
#include "proxy.h"
#include "test_support/eventually.h"

using namespace sockmesh;
using namespace sockmesh::test;
using namespace std::chrono_literals;

namespace {

std::string hello_to(const std::string& name, size_t record = 16384) {
  const auto bytes =
      connection::in_records(connection::hello_message(connection::server_name_extension(name)), record);
  return {bytes.begin(), bytes.end()};
}

struct ByName {
  ByName() {
    proxy.cluster("named", {named.address()});
    proxy.cluster("other", {other.address()});
    auto& chain = proxy.chain("by-name", {"named"});
    chain.match.server_names = {"db.example.com"};
    chain.match.transport = model::TransportProtocol::kTls;
    model::FilterChain fallback;
    fallback.name = "fallback";
    fallback.route.clusters = {{"other", 1}};
    proxy.listener().default_chain = fallback;
    proxy.listener().inspect_tls = true;
  }
  Server named, other;
  Proxy proxy;
};

}  // namespace

TEST_CASE("the server name chooses the chain, and the hello reaches the upstream whole") {
  ByName fixture;
  fixture.proxy.publish();
  Peer client = fixture.proxy.connect();
  const std::string hello = hello_to("DB.example.com", GENERATE(16384, 20));
  client.say(hello.substr(0, 10));
  EVENTUALLY((fixture.proxy.flows().size() == 1 &&
              fixture.proxy.flows()[0].state == telemetry::ConnectionState::kInspecting));
  CHECK(fixture.named.nobody_waits());
  client.say(hello.substr(10));
  CHECK(fixture.named.accept().hear(hello.size()) == hello);
  client.close();
  const LogLine line = fixture.proxy.logged();
  CHECK(line.server_name == "db.example.com");
  CHECK(line.cluster == "named");
  CHECK(line.received == std::to_string(hello.size()));
}

TEST_CASE("other names, and what is not TLS, take the default chain") {
  ByName fixture;
  fixture.proxy.publish();
  const std::string first = GENERATE(hello_to("else.example.com"), std::string("plain text"));
  Peer client = fixture.proxy.connect();
  client.say(first);
  CHECK(fixture.other.accept().hear(first.size()) == first);
}

TEST_CASE("a silent client is waited for, up to the detection timeout when there is one") {
  ByName fixture;
  fixture.proxy.mesh().protocol_detection_timeout = 50ms;
  fixture.proxy.publish();
  Peer client = fixture.proxy.connect();
  fixture.other.accept().say("220 ready");
  CHECK(client.hear(9) == "220 ready");
}

TEST_CASE("a client that leaves before its first bytes leaves one line") {
  ByName fixture;
  fixture.proxy.publish();
  Peer client = fixture.proxy.connect();
  client.close();
  const LogLine line = fixture.proxy.logged();
  CHECK(line.flags == "-");
  CHECK(line.cluster == "-");
}

TEST_CASE("a PROXY header in front says who the client is") {
  const auto version = GENERATE(model::ProxyProtocol::kV1, model::ProxyProtocol::kV2);
  Server server;
  Proxy proxy;
  proxy.cluster("echo", {server.address()});
  proxy.chain("plain", {"echo"});
  proxy.listener().accept_proxy_protocol = true;
  proxy.publish();
  Peer client = proxy.connect();
  const std::string header =
      connection::proxy_header(version, SocketAddress::parse("203.0.113.9:4242").value(),
                               SocketAddress::parse("198.51.100.1:443").value());
  client.say(header.substr(0, 7));
  client.say(header.substr(7) + "payload");
  CHECK(server.accept().hear(7) == "payload");
  client.close();
  const LogLine line = proxy.logged();
  CHECK(line.client == "203.0.113.9:4242");
  CHECK(line.destination == "198.51.100.1:443");
  CHECK(line.received == "7");
}

TEST_CASE("without the header that is expected the connection is closed") {
  Server server;
  Proxy proxy;
  proxy.cluster("echo", {server.address()});
  proxy.chain("plain", {"echo"});
  proxy.listener().accept_proxy_protocol = true;
  proxy.publish();
  Peer client = proxy.connect();
  client.say("GET / HTTP/1.1\r\n\r\n");
  CHECK(client.end() == "reset");
  CHECK(proxy.logged().cluster == "-");
  CHECK(server.nobody_waits());
}

TEST_CASE("a PROXY header has 15 s in all: silence and a byte now and then end with them") {
  CHECK(connection::kProxyHeaderTime == 15s);
  const bool drips = GENERATE(false, true);
  CAPTURE(drips);
  Server server;
  Proxy proxy(1000, event::Backend::kEpoll, false, 100ms);
  proxy.cluster("echo", {server.address()});
  proxy.chain("plain", {"echo"});
  proxy.listener().accept_proxy_protocol = true;
  proxy.publish();
  Peer client = proxy.connect();
  // Right, and as long as one may be: whole after more than four seconds, and then it would be taken.
  const std::string header =
      std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11\x0f\xf0", 16) + std::string(0xff0, '\4');
  size_t sent = 0;
  while (drips && sent < header.size() && client.try_say(header.substr(sent, 1))) {
    ++sent;
    poll(nullptr, 0, 1);
  }
  CHECK(sent < header.size());
  if (!drips) CHECK(client.end() == "eof");
  const LogLine line = proxy.logged();
  CHECK(line.flags == "-");
  CHECK(line.cluster == "-");
  CHECK(server.nobody_waits());
}

TEST_CASE("a PROXY header is sent to clusters that ask for it, and not counted") {
  const auto version = GENERATE(model::ProxyProtocol::kV1, model::ProxyProtocol::kV2);
  Server server;
  Proxy proxy;
  proxy.cluster("echo", {server.address()}).proxy_protocol = version;
  proxy.chain("plain", {"echo"});
  proxy.publish();
  Peer client = proxy.connect();
  client.say("payload");
  const std::string expected = connection::proxy_header(version, client.local(), proxy.address());
  CHECK(server.accept().hear(expected.size() + 7) == expected + "payload");
  client.close();
  CHECK(proxy.logged().received == "7");
}
