#include "interception/listening_socket.h"

#include <catch2/catch.hpp>

#include "interception/original_destination.h"

using namespace sockmesh;
using namespace sockmesh::interception;

TEST_CASE("two workers share one port") {
  const bool ipv6 = GENERATE(false, true);
  if (ipv6 && !ipv6_available()) return;
  auto first = listen_on({IpAddress::loopback(ipv6), 0}, {});
  REQUIRE(first);
  const auto bound = SocketAddress::local_of(first->get()).value();
  CHECK(bound.port != 0);
  auto second = listen_on(bound, {});
  REQUIRE(second);
  CHECK(SocketAddress::local_of(second->get()).value() == bound);
}

TEST_CASE("a taken port is an error that names the address") {
  ListenOptions alone;
  alone.reuse_port = false;
  auto first = listen_on({IpAddress::loopback(false), 0}, alone);
  REQUIRE(first);
  const auto bound = SocketAddress::local_of(first->get()).value();
  const auto second = listen_on(bound, alone);
  REQUIRE_FALSE(second);
  CHECK(second.error().os_error == EADDRINUSE);
  CHECK(second.error().message.find(bound.to_string()) != std::string::npos);
}

TEST_CASE("a connection nobody redirected has the listener as destination") {
  auto listener = listen_on({IpAddress::loopback(false), 0}, {});
  REQUIRE(listener);
  const auto bound = SocketAddress::local_of(listener->get()).value();
  const Fd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage storage{};
  const socklen_t length = bound.to_sockaddr(storage);
  REQUIRE(connect(client.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0);
  const Fd accepted(accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
  REQUIRE(accepted);
  const auto captured = original_destination(accepted.get(), bound.port);
  REQUIRE(captured);
  CHECK(captured->destination == bound);
  CHECK_FALSE(captured->redirected);
}
