#include "connection/proxy_protocol.h"

#include <catch2/catch.hpp>

using namespace sockmesh;
using namespace sockmesh::connection;

namespace {

SocketAddress at(const char* text) { return SocketAddress::parse(text).value(); }

ProxyHeader parse(const std::string& text) {
  return parse_proxy_header({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

}  // namespace

TEST_CASE("what is written is read back") {
  const auto version = GENERATE(model::ProxyProtocol::kV1, model::ProxyProtocol::kV2);
  const auto [source, destination] =
      GENERATE(std::pair{"10.1.2.3:40000", "10.96.0.7:5432"}, std::pair{"[fd00::1]:1", "[fd00::2]:65535"});
  const std::string header = proxy_header(version, at(source), at(destination));
  for (size_t length = 0; length < header.size(); ++length)
    CHECK(parse(header.substr(0, length)).state == ProxyHeaderState::kNeedMore);
  const ProxyHeader parsed = parse(header + "payload");
  REQUIRE(parsed.state == ProxyHeaderState::kComplete);
  CHECK(parsed.length == header.size());
  CHECK(parsed.source == at(source));
  CHECK(parsed.destination == at(destination));
}

TEST_CASE("the texts of version 1") {
  CHECK(proxy_header(model::ProxyProtocol::kV1, at("10.1.2.3:4"), at("10.0.0.1:5")) ==
        "PROXY TCP4 10.1.2.3 10.0.0.1 4 5\r\n");
  CHECK(proxy_header(model::ProxyProtocol::kV1, at("10.1.2.3:4"), at("[fd00::1]:5")) == "PROXY UNKNOWN\r\n");
  CHECK(proxy_header(model::ProxyProtocol::kNone, at("10.1.2.3:4"), at("10.0.0.1:5")).empty());
}

TEST_CASE("mixed families are mapped in version 2") {
  const auto parsed = parse(proxy_header(model::ProxyProtocol::kV2, at("10.1.2.3:4"), at("[fd00::1]:5")));
  CHECK(parsed.source == at("10.1.2.3:4"));
  CHECK(parsed.destination == at("[fd00::1]:5"));
}

TEST_CASE("senders that speak for themselves have no addresses") {
  const auto unknown = parse("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\nrest");
  CHECK(unknown.state == ProxyHeaderState::kComplete);
  CHECK_FALSE(unknown.source);
  const auto local = parse(std::string("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16));
  CHECK(local.state == ProxyHeaderState::kComplete);
  CHECK(local.length == 16);
  CHECK_FALSE(local.source);
}

TEST_CASE("type-length-values behind the addresses are skipped") {
  std::string header = proxy_header(model::ProxyProtocol::kV2, at("10.1.2.3:4"), at("10.0.0.1:5"));
  header[15] = static_cast<char>(header[15] + 5);
  const auto parsed = parse(header + std::string("\x04\0\x02ok", 5));
  CHECK(parsed.state == ProxyHeaderState::kComplete);
  CHECK(parsed.length == header.size() + 5);
}

TEST_CASE("anything else is refused, as early as it can be told") {
  CHECK(parse("GET / HTTP/1.1\r\n").state == ProxyHeaderState::kInvalid);
  CHECK(parse("P").state == ProxyHeaderState::kNeedMore);
  CHECK(parse("PX").state == ProxyHeaderState::kInvalid);
  CHECK(parse("PROXY TCP4 10.1.2.3 10.0.0.1 4\r\n").state == ProxyHeaderState::kInvalid);
  CHECK(parse("PROXY TCP4 10.1.2.300 10.0.0.1 4 5\r\n").state == ProxyHeaderState::kInvalid);
  CHECK(parse("PROXY TCP4 10.1.2.3 10.0.0.1 4 65536\r\n").state == ProxyHeaderState::kInvalid);
  CHECK(parse("PROXY " + std::string(200, 'x')).state == ProxyHeaderState::kInvalid);
  CHECK(parse(std::string("\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c", 16)).state == ProxyHeaderState::kInvalid);
  CHECK(parse(std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", 16)).state == ProxyHeaderState::kInvalid);
  CHECK(parse(std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04", 16) + "abcd").state ==
        ProxyHeaderState::kInvalid);
}
