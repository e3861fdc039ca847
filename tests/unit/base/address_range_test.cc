#include "base/address_range.h"

#include <catch2/catch.hpp>

using namespace sockmesh;

TEST_CASE("the last address of a block") {
  const char* rows[][2] = {{"0.0.0.0/0", "255.255.255.255"},
                           {"10.96.0.0/12", "10.111.255.255"},
                           {"10.0.0.1/32", "10.0.0.1"},
                           {"::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
                           {"fd00::/9", "fd7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
                           {"::1/128", "::1"}};
  for (const auto& [block, last] : rows) {
    CAPTURE(block);
    CHECK(last_of(Prefix::parse(block).value()).to_string() == last);
  }
}

TEST_CASE("the address after another, and none after the last") {
  const char* rows[][2] = {
      {"10.0.0.1", "10.0.0.2"}, {"10.0.255.255", "10.1.0.0"}, {"::", "::1"}, {"fd00::ffff", "fd00::1:0"}};
  for (const auto& [ip, next] : rows) {
    CAPTURE(ip);
    CHECK(successor(IpAddress::parse(ip).value())->to_string() == next);
  }
  CHECK_FALSE(successor(IpAddress::parse("255.255.255.255").value()));
  CHECK_FALSE(successor(IpAddress::parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").value()));
}
