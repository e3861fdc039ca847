#include "net/network_namespace.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <future>
#include <thread>

#include "net/listening_socket.h"
#include "test_support/netns.h"

using namespace sockmesh;
using namespace sockmesh::net;

namespace {

NetworkNamespace opened(const test::Netns& netns) {
  auto network = NetworkNamespace::open(fmt::format("/proc/self/fd/{}", netns.fd()));
  REQUIRE(network);
  return *network;
}

ino_t where_this_thread_is() {
  struct stat here {};
  REQUIRE(stat("/proc/thread-self/ns/net", &here) == 0);
  return here.st_ino;
}

bool connects(const NetworkNamespace& network, const SocketAddress& to) {
  auto fd = network.socket(AF_INET, SOCK_STREAM);
  REQUIRE(fd);
  sockaddr_storage storage{};
  const socklen_t length = to.to_sockaddr(storage);
  // Over loopback a connect that has somebody to go to is done at once, or waits for its turn.
  return connect(fd->get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0 || errno == EINPROGRESS;
}

}  // namespace

TEST_CASE("sockets are made in the namespace, by whatever thread, and it stays where it was") {
  const test::Netns a("a"), b("b");
  const NetworkNamespace in_a = opened(a), in_b = opened(b);
  const ino_t home = where_this_thread_is();
  const SocketAddress address{IpAddress::loopback(false), 7000};
  // The same address in two namespaces, and at home nobody has it.
  const auto at_a = listen_on(address, {}, in_a);
  REQUIRE(at_a);
  const auto at_b = listen_on(address, {}, in_b);
  REQUIRE(at_b);
  std::thread([&] { CHECK(connects(in_b, address)); }).join();
  CHECK(connects(in_a, address));
  CHECK(where_this_thread_is() == home);

  // An address that one of them has alone.
  a.ip("address add 10.1.2.3/32 dev lo");
  CHECK(listen_on({IpAddress::parse("10.1.2.3").value(), 7001}, {}, in_a));
  const auto elsewhere = listen_on({IpAddress::parse("10.1.2.3").value(), 7001}, {}, in_b);
  REQUIRE_FALSE(elsewhere);
  CHECK(elsewhere.error().os_error == EADDRNOTAVAIL);
}

TEST_CASE("a thread is in a namespace for as long as it wants") {
  const test::Netns a("a");
  const NetworkNamespace in_a = opened(a);
  const ino_t home = where_this_thread_is();
  std::promise<void> entered;
  ino_t of_other = 0;
  std::thread other([&, wait = entered.get_future()] {
    wait.wait();
    of_other = where_this_thread_is();
  });
  {
    const auto inside = in_a.enter();
    CHECK(where_this_thread_is() != home);
    entered.set_value();
    other.join();
    CHECK(inside);
  }
  CHECK(of_other == home);  // this one alone was in it
  CHECK(where_this_thread_is() == home);
  const auto nowhere = NetworkNamespace().enter();
  REQUIRE(nowhere);
  CHECK(where_this_thread_is() == home);
}

TEST_CASE("a namespace that is not there is named") {
  const auto missing = NetworkNamespace::open("/run/netns/no-such-pod");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message.find("/run/netns/no-such-pod") != std::string::npos);
  CHECK(missing.error().os_error == ENOENT);
}

TEST_CASE("what is no namespace cannot be entered") {
  const auto file = NetworkNamespace::open("/dev/null");
  REQUIRE(file);
  const ino_t home = where_this_thread_is();
  CHECK_FALSE(file->enter());
  CHECK_FALSE(file->socket(AF_INET, SOCK_STREAM));
  CHECK(where_this_thread_is() == home);
}
