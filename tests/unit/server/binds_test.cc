#include "server/binds.h"

#include <catch2/catch.hpp>

using namespace sockmesh;
using namespace sockmesh::server;

namespace {

SocketAddress at(const char* text) { return SocketAddress::parse(text).value(); }

model::ListenerPtr listener(const char* name, std::vector<SocketAddress> addresses, bool bound = true) {
  auto made = std::make_shared<model::Listener>();
  made->name = name;
  made->addresses = std::move(addresses);
  made->bind_to_port = bound;
  return made;
}

}  // namespace

TEST_CASE("only listeners that are really bound want sockets, one for each address") {
  model::Snapshot snapshot;
  snapshot.listeners = {listener("virtualOutbound", {at("0.0.0.0:15001")}, false),
                        listener("0.0.0.0_443", {at("0.0.0.0:443"), at("[::]:443")})};
  const auto binds = wanted_binds(snapshot);
  REQUIRE(binds.size() == 2);
  CHECK(binds[0].address == at("0.0.0.0:443"));
  CHECK(binds[1].address == at("[::]:443"));
  CHECK(binds[1].listener == "0.0.0.0_443");
}

TEST_CASE("one address is bound once") {
  model::Snapshot snapshot;
  snapshot.listeners = {listener("b", {at("0.0.0.0:80")}), listener("a", {at("0.0.0.0:80")})};
  const auto binds = wanted_binds(snapshot);
  REQUIRE(binds.size() == 1);
  CHECK(binds[0].listener == "a");
}

TEST_CASE("changes are what differs, and nothing else") {
  const Bind stays{at("0.0.0.0:80"), "a"}, goes{at("0.0.0.0:81"), "b"}, comes{at("0.0.0.0:82"), "c"};
  const auto changes = bind_changes({stays, goes}, {stays, comes});
  CHECK(changes.add == std::vector<Bind>{comes});
  CHECK(changes.remove == std::vector<Bind>{goes});
  CHECK(bind_changes({stays}, {stays}).add.empty());
  CHECK(bind_changes({stays}, {stays}).remove.empty());
  // Another listener on the same address: its connections must be routed by another name.
  const Bind renamed{at("0.0.0.0:80"), "z"};
  CHECK(bind_changes({stays}, {renamed}).remove == std::vector<Bind>{stays});
}
