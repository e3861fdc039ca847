#include "model/flags.h"

#include <catch2/catch.hpp>

#include "model/origin.h"
#include "model/snapshot.h"

using namespace sockmesh::model;

TEST_CASE("response flags print in the order they were raised, each once") {
  ResponseFlags flags;
  CHECK(flags.to_string() == "-");
  flags.add(ResponseFlag::kUpstreamConnectionFailure);
  flags.add(ResponseFlag::kUpstreamRetryLimitExceeded);
  flags.add(ResponseFlag::kUpstreamConnectionFailure);
  CHECK(flags.to_string() == "UF,URX");
  CHECK(flags.has(ResponseFlag::kUpstreamRetryLimitExceeded));
  CHECK_FALSE(flags.has(ResponseFlag::kNoRouteFound));
  ResponseFlags other;
  other.add(ResponseFlag::kUpstreamRetryLimitExceeded);
  CHECK_FALSE(flags == other);
}

TEST_CASE("an origin names the object and its line") {
  CHECK(Origin{"VirtualService", "echo", "default", "routes.yaml", 12}.to_string() ==
        "VirtualService default/echo (routes.yaml:12)");
  CHECK(Origin{"Service", "echo", "default", "", 0}.to_string() == "Service default/echo");
  CHECK(builtin_origin()->to_string() == "builtin");
}

TEST_CASE("endpoint addresses print as people write them") {
  CHECK(to_string(EndpointAddress(sockmesh::SocketAddress::parse("[::1]:80").value())) == "[::1]:80");
  CHECK(to_string(EndpointAddress(HostName{"db.example.com", 5432})) == "db.example.com:5432");
  CHECK(to_string(EndpointAddress(UnixPath{"/run/x"})) == "unix:///run/x");
}
