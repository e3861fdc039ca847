// An RST from either side that comes before the worker has looked whether its connect() succeeded. The
// upstream had accepted, so that this was a connection, and what it ends with is an RST for the other side.
#include <catch2/catch.hpp>

#include "proxy.h"
#include "test_support/eventually.h"

using namespace sockmesh;
using namespace sockmesh::test;
using telemetry::ConnectionState;

namespace {

struct Case {
  event::Backend backend;
  bool ipv6;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto backend : backends())
    for (const bool ipv6 : {false, true}) all.push_back({backend, ipv6});
  return all;
}

}  // namespace

TEST_CASE("an upstream's RST that comes before its connect() was looked at is no failed connect") {
  const Case kind = GENERATE(from_range(cases()));
  const std::string words = GENERATE("", "220 ready");
  const bool asked = GENERATE(false, true);        // the client had spoken
  const bool with_header = GENERATE(false, true);  // we had a PROXY header to send
  const bool after_fin = GENERATE(false, true);
  CAPTURE(kind.ipv6, kind.backend == event::Backend::kIoUring, words, asked, with_header, after_fin);
  Server server(kind.ipv6), other(kind.ipv6);
  Proxy proxy(1000, kind.backend, kind.ipv6);
  model::Cluster& cluster = proxy.cluster("echo", {server.address(), other.address()});
  if (with_header) cluster.proxy_protocol = model::ProxyProtocol::kV2;
  proxy.chain("plain", {"echo"});
  proxy.publish();

  proxy.stop_in(ConnectionState::kConnecting);
  Peer client = proxy.connect();
  if (asked) client.say("hello");
  proxy.stopped();
  EVENTUALLY(!(server.nobody_waits() && other.nobody_waits()));
  Server& chosen = server.nobody_waits() ? other : server;
  Server& left = server.nobody_waits() ? server : other;
  {
    Peer upstream = chosen.accept();
    if (!words.empty()) upstream.say(words);
    if (after_fin) upstream.finish();
    upstream.reset();
  }
  proxy.go_on();

  const LogLine line = proxy.logged();
  CHECK(client.hear(words.size()) == words);
  // After a FIN all was said, and a client that says nothing more itself is told no more than that.
  if (!after_fin) CHECK(client.end() == "reset");
  CHECK(line.flags == "UR");
  CHECK(line.failure == "-");
  CHECK(line.upstream == chosen.address().to_string());
  CHECK(line.sent == std::to_string(words.size()));
  CHECK(left.nobody_waits());
  const auto state = proxy.registry().find("echo");
  CHECK(state->connects == 1);
  CHECK(state->connect_failures == 0);
  for (const auto& endpoint : state->endpoints(monotonic_now())) CHECK(endpoint.failures == 0);
  EVENTUALLY(state->active() == 0);
}

TEST_CASE("a client's RST that comes while its upstream is dialled is an RST for the upstream") {
  const Case kind = GENERATE(from_range(cases()));
  const bool asked = GENERATE(false, true);
  const bool before_it_stood = GENERATE(false, true);
  CAPTURE(kind.ipv6, kind.backend == event::Backend::kIoUring, asked, before_it_stood);
  BlackHole hole(kind.ipv6);
  Server quick(kind.ipv6);
  Server& server = before_it_stood ? hole.server : quick;
  Proxy proxy(1000, kind.backend, kind.ipv6);
  proxy.lead_to("echo", {server.address()});
  proxy.stop_in(ConnectionState::kConnecting);
  Peer client = proxy.connect();
  if (asked) client.say("hello");
  proxy.stopped();
  // Whichever comes first is looked at first.
  if (before_it_stood) {
    client.reset();
    hole.answer();
  }
  Peer upstream = server.accept();
  if (!before_it_stood) client.reset();
  proxy.go_on();

  // What it had said may have been passed on before it was gone: a true beginning, and then the RST.
  std::string end = upstream.end();
  if (asked && end == "data: hello") end = upstream.end();
  CHECK(end == "reset");
  CHECK(proxy.logged().flags == "-");
  EVENTUALLY(proxy.registry().find("echo")->active() == 0);
}

TEST_CASE(
    "RSTs of both sides before the upstream's connect() was looked at leave one line, with UR or without a "
    "flag") {
  const Case kind = GENERATE(from_range(cases()));
  CAPTURE(kind.ipv6, kind.backend == event::Backend::kIoUring);
  Server server(kind.ipv6);
  Proxy proxy(1000, kind.backend, kind.ipv6);
  proxy.lead_to("echo", {server.address()});
  proxy.stop_in(ConnectionState::kConnecting);
  Peer client = proxy.connect();
  proxy.stopped();
  server.accept().reset();
  client.reset();
  proxy.go_on();
  const LogLine line = proxy.logged();
  CHECK((line.flags == "-" || line.flags == "UR"));
  CHECK(line.failure == "-");
  EVENTUALLY(proxy.open() == 0);
  CHECK(proxy.log_lines() == 1);
}
