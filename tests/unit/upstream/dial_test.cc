#include "upstream/dial.h"

#include <catch2/catch.hpp>

using namespace sockmesh;
using namespace sockmesh::upstream;

namespace {

SocketAddress at(const char* text) { return SocketAddress::parse(text).value(); }

DialRequest request(std::optional<const char*> v4, std::optional<const char*> v6) {
  auto cluster = std::make_shared<model::Cluster>();
  if (v4) cluster->bind_source_v4 = IpAddress::parse(*v4).value();
  if (v6) cluster->bind_source_v6 = IpAddress::parse(*v6).value();
  DialRequest made;
  made.cluster = cluster;
  return made;
}

std::string source(const DialRequest& request, const char* to) {
  const auto options = connect_options(request, at(to));
  return options.source ? options.source->to_string() : "";
}

}  // namespace

TEST_CASE("an inbound connection comes from 127.0.0.6 or ::6, whatever addresses the configuration knew") {
  for (const auto& known : {request("127.0.0.6", {}), request({}, "::6"), request("127.0.0.6", "::6")}) {
    CHECK(source(known, "10.0.0.1:80") == "127.0.0.6:0");
    CHECK(source(known, "[fd00::1]:80") == "[::6]:0");
  }
  CHECK(source(request({}, {}), "10.0.0.1:80") == "");
  CHECK(source(request({}, {}), "[fd00::1]:80") == "");
}

TEST_CASE("under TPROXY it comes from the client, marked, where the families agree") {
  DialRequest kept = request("127.0.0.6", {});
  kept.keep_client_source = true;
  kept.client = at("10.9.9.9:1234");
  const auto options = connect_options(kept, at("10.0.0.1:80"));
  CHECK(options.source == at("10.9.9.9:0"));
  CHECK(options.transparent);
  CHECK(options.mark == 1337);
  CHECK(source(kept, "[fd00::1]:80") == "[::6]:0");
}
