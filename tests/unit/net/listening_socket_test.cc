#include "net/listening_socket.h"

#include <catch2/catch.hpp>

#include "net/original_destination.h"
#include "test_support/skip.h"

using namespace sockmesh;
using namespace sockmesh::net;

namespace {

constexpr ListenOptions kFirst{.group = PortGroup::kFirst};
constexpr ListenOptions kMember{.group = PortGroup::kMember};

Fd connect_to(const SocketAddress& address) {
  Fd client(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage storage{};
  const socklen_t length = address.to_sockaddr(storage);
  REQUIRE(connect(client.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0);
  return client;
}

// How many connections wait in the backlog.
int waiting(const Fd& listener) {
  int count = 0;
  while (Fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC))) ++count;
  return count;
}

}  // namespace

TEST_CASE("workers share one port, and the kernel spreads connections over them") {
  const bool ipv6 = GENERATE(false, true);
  if (ipv6 && !ipv6_available()) return test::skip("this machine has no IPv6");
  auto first = listen_on({IpAddress::loopback(ipv6), 0}, kFirst);
  REQUIRE(first);
  const auto bound = SocketAddress::local_of(first->get()).value();
  CHECK(bound.port != 0);
  auto second = listen_on(bound, kMember);
  REQUIRE(second);
  CHECK(SocketAddress::local_of(second->get()).value() == bound);
  auto third = listen_on(bound, kMember);
  REQUIRE(third);
  std::vector<Fd> clients;
  for (int i = 0; i < 120; ++i) clients.push_back(connect_to(bound));
  const int counts[] = {waiting(*first), waiting(*second), waiting(*third)};
  CHECK(counts[0] + counts[1] + counts[2] == 120);
  for (const int count : counts) CHECK(count > 10);
}

TEST_CASE("the first socket of a group shares with nobody that was there before") {
  const bool ipv6 = GENERATE(false, true);
  if (ipv6 && !ipv6_available()) return test::skip("this machine has no IPv6");
  const auto there_group = GENERATE(PortGroup::kAlone, PortGroup::kFirst);
  const auto there = listen_on({IpAddress::loopback(ipv6), 0}, {.group = there_group});
  REQUIRE(there);
  const auto bound = SocketAddress::local_of(there->get()).value();
  for (const SocketAddress& wanted : {bound, SocketAddress{IpAddress::any(ipv6), bound.port}}) {
    const auto another = listen_on(wanted, kFirst);
    REQUIRE_FALSE(another);
    CHECK(another.error().os_error == EADDRINUSE);
    CHECK(another.error().message.find(wanted.to_string()) != std::string::npos);
  }
  // None of its connections went astray.
  std::vector<Fd> clients;
  for (int i = 0; i < 50; ++i) clients.push_back(connect_to(bound));
  CHECK(waiting(*there) == 50);
}

TEST_CASE("a socket that has its port alone lets no member in") {
  const auto alone = listen_on({IpAddress::loopback(false), 0}, {});
  REQUIRE(alone);
  CHECK_FALSE(listen_on(SocketAddress::local_of(alone->get()).value(), kMember));
}

TEST_CASE("a taken port is an error that names the address") {
  const ListenOptions alone;
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
