#include "base/address.h"

#include <catch2/catch.hpp>
#include <unordered_set>

using namespace sockmesh;

TEST_CASE("addresses keep their text") {
  for (const char* text : {"0.0.0.0", "10.0.0.1", "255.255.255.255", "::", "::1", "fd00::1:2"}) {
    CAPTURE(text);
    REQUIRE(IpAddress::parse(text).has_value());
    CHECK(IpAddress::parse(text)->to_string() == text);
  }
}

TEST_CASE("a mapped IPv6 address is the IPv4 address") {
  CHECK(*IpAddress::parse("::ffff:10.1.2.3") == *IpAddress::parse("10.1.2.3"));
}

TEST_CASE("what is not an address is quoted in the error") {
  for (const char* text : {"", "10.0.0", "10.0.0.256", "fd00::g", "10.0.0.1/8", " 10.0.0.1"}) {
    CAPTURE(text);
    const auto parsed = IpAddress::parse(text);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().message.find(fmt::format("'{}'", text)) != std::string::npos);
  }
}

TEST_CASE("socket addresses need brackets around IPv6, and a port") {
  CHECK(SocketAddress::parse("10.0.0.1:80")->to_string() == "10.0.0.1:80");
  CHECK(SocketAddress::parse("[fd00::1]:65535")->to_string() == "[fd00::1]:65535");
  for (const char* text :
       {"10.0.0.1", "fd00::1:80", "[10.0.0.1]:80", "10.0.0.1:65536", "10.0.0.1:", ":80", "10.0.0.1:-1"}) {
    CAPTURE(text);
    CHECK_FALSE(SocketAddress::parse(text).has_value());
  }
}

TEST_CASE("sockaddr there and back") {
  for (const char* text : {"10.0.0.1:80", "[fd00::1]:1"}) {
    sockaddr_storage storage;
    const auto address = *SocketAddress::parse(text);
    const socklen_t length = address.to_sockaddr(storage);
    CHECK(*SocketAddress::from(reinterpret_cast<sockaddr*>(&storage), length) == address);
  }
}

TEST_CASE("prefixes are masked and contain what they should") {
  CHECK(*Prefix::parse("10.1.2.3/8") == *Prefix::parse("10.0.0.0/8"));
  CHECK(Prefix::parse("10.1.2.3")->is_host());
  CHECK(Prefix::parse("10.0.0.0/12")->contains(*IpAddress::parse("10.15.255.255")));
  CHECK_FALSE(Prefix::parse("10.0.0.0/12")->contains(*IpAddress::parse("10.16.0.0")));
  CHECK(Prefix::parse("0.0.0.0/0")->contains(*IpAddress::parse("1.2.3.4")));
  CHECK_FALSE(Prefix::parse("0.0.0.0/0")->contains(*IpAddress::parse("::1")));
  CHECK(Prefix::parse("fd00::/8")->contains(*IpAddress::parse("fdff::1")));
  for (const char* text : {"10.0.0.0/33", "fd00::/129", "10.0.0.0/", "/8", "10.0.0.0/8/8", "x"}) {
    CHECK_FALSE(Prefix::parse(text).has_value());
  }
}

TEST_CASE("addresses hash apart") {
  std::unordered_set<size_t> seen;
  for (uint32_t i = 0; i < 10000; ++i)
    seen.insert(std::hash<SocketAddress>{}({IpAddress::v4(0x0a600000 + i), 80}));
  CHECK(seen.size() > 9990);
}
