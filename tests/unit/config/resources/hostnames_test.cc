#include "config/resources/hostnames.h"

#include <catch2/catch.hpp>

using namespace sockmesh::config;

TEST_CASE("host names match as Istio's do") {
  CHECK(hosts_match("*.com", "a.com"));
  CHECK(hosts_match("a.com", "*.com"));
  CHECK(hosts_match("*.b.com", "*.com"));
  CHECK_FALSE(hosts_match("a.com", "b.com"));
  CHECK(host_covers("*", "*.com"));
  CHECK(host_covers("*.com", "*.a.com"));
  CHECK_FALSE(host_covers("*.a.com", "*.com"));
  CHECK_FALSE(host_covers("a.com", "*.com"));
  CHECK(full_name("echo", "default", "cluster.local") == "echo.default.svc.cluster.local");
  CHECK(full_name("echo.default", "x", "cluster.local") == "echo.default");
  CHECK(full_name("*", "x", "cluster.local") == "*");
}
