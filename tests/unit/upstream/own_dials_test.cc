#include "upstream/own_dials.h"

#include <catch2/catch.hpp>

using namespace sockmesh;
using namespace sockmesh::upstream;

namespace {

SocketAddress at(const char* text) { return SocketAddress::parse(text).value(); }
const SocketAddress kClient = at("10.0.0.1:40000"), kService = at("10.96.0.1:80");
const SocketAddress kOurs = at("10.0.0.1:40001"), kServer = at("10.0.0.2:9000");

}  // namespace

TEST_CASE("a connection that is not ours passes for the first time") {
  OwnDials dials;
  CHECK(*dials.accepted(kClient, kService).passes() == 1);
  CHECK_FALSE(OwnDials::Entry().passes());
}

TEST_CASE("what we dial and accept again has passed once more, whichever end is entered first") {
  OwnDials dials;
  const auto client = dials.accepted(kClient, kService);
  SECTION("the dial") {
    const auto dial = dials.dialled(kOurs, kServer, client.passes());
    CHECK(*dials.accepted(kOurs, kServer).passes() == 2);
  }
  SECTION("the accept") {
    const auto again = dials.accepted(kOurs, kServer);
    CHECK(*again.passes() == 1);
    const auto dial = dials.dialled(kOurs, kServer, client.passes());
    CHECK(*again.passes() == 2);
  }
  // The other way round is another connection.
  CHECK(*dials.accepted(kServer, kOurs).passes() == 1);
}

TEST_CASE("it is known as long as it is open") {
  OwnDials dials;
  const auto client = dials.accepted(kClient, kService);
  { const auto dial = dials.dialled(kOurs, kServer, client.passes()); }
  CHECK(*dials.accepted(kOurs, kServer).passes() == 1);
  auto old = dials.dialled(kOurs, kServer, client.passes());
  const auto other = dials.accepted(kClient, at("10.96.0.1:81"));
  const auto reused = dials.dialled(kOurs, kServer, other.passes());
  old = OwnDials::Entry();  // its addresses are in use again
  CHECK(*dials.accepted(kOurs, kServer).passes() == 2);
  CHECK_FALSE(dials.dialled(kOurs, kServer, nullptr).passes());
}
