#include "admin/question.h"

#include <catch2/catch.hpp>

namespace sockmesh::admin {

namespace {

model::ListenerPtr bound(const char* name, const char* address) {
  auto listener = std::make_shared<model::Listener>();
  listener->name = name;
  listener->addresses = {SocketAddress::parse(address).value()};
  listener->bind_to_port = true;
  return listener;
}

}  // namespace

TEST_CASE("a question as text becomes a connection") {
  const model::Snapshot snapshot;
  const auto info = connection_of(
      {.destination = "[fd00::1]:80", .direction = "inbound", .source = "10.1.2.3", .sni = "DB.Example.com"},
      snapshot);
  REQUIRE(info);
  CHECK(info->direction == model::Direction::kInbound);
  CHECK(info->destination.to_string() == "[fd00::1]:80");
  CHECK(info->source.ip.to_string() == "10.1.2.3");
  CHECK(info->hello->is_tls);
  CHECK(info->hello->server_name == "db.example.com");
  CHECK(info->bound == nullptr);
  const auto offers = connection_of({.destination = "10.0.0.1:80", .alpn = "istio, h2"}, snapshot);
  REQUIRE(offers);
  CHECK(offers->hello->is_tls);
  CHECK(offers->hello->application_protocols == std::vector<std::string>{"istio", "h2"});
  CHECK_FALSE(connection_of({.destination = "10.0.0.1:80", .source = "me"}, snapshot));
  CHECK_FALSE(connection_of({.destination = "10.0.0.1:80", .tls = false}, snapshot)->hello->is_tls);
}

TEST_CASE("a really bound listener takes what is dialled to it, the exact address first") {
  model::Snapshot snapshot;
  snapshot.listeners = {bound("any", "0.0.0.0:31400"), bound("one", "10.0.0.1:31400"),
                        bound("six", "[::]:31400")};
  const auto taker = [&](const char* destination) -> std::string {
    const auto info = connection_of({.destination = destination}, snapshot);
    return info->bound ? info->bound->name : "";
  };
  CHECK(taker("10.0.0.1:31400") == "one");
  CHECK(taker("10.0.0.2:31400") == "any");
  CHECK(taker("[fd00::1]:31400") == "six");
  CHECK(taker("10.0.0.1:80").empty());
}

}  // namespace sockmesh::admin
