// Interception mode TPROXY, end to end:
//
//   client-0 (no sidecar) ──▶ 15006, transparently: agent of store-0 ──▶ application, from client-0's address
#include <sys/socket.h>
#include <sys/time.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "mesh.h"
#include "test_support/eventually.h"

using namespace sockmesh;
using namespace sockmesh::test;

namespace {

Fd stream_socket(const SocketAddress& address) {
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{patient(std::chrono::seconds(10)).count() / 1000, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

Fd listening(Pod& pod, const SocketAddress& address) {
  sockaddr_storage storage{};
  const socklen_t length = address.to_sockaddr(storage);
  Fd listener;
  pod.netns.run([&] {
    listener = stream_socket(address);
    REQUIRE(bind(listener.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0);
    REQUIRE(listen(listener.get(), 8) == 0);
  });
  return listener;
}

}  // namespace

TEST_CASE("under TPROXY the application sees the client's own address") {
  const bool ipv6 = GENERATE(false, true);
  CAPTURE(ipv6);
  Mesh mesh;
  Pod& client = mesh.pod("client-0", "10.12.3.10");
  Pod& store = mesh.pod("store-0", "10.12.4.10");
  Agent& agent = mesh.sidecar(store, "store-0", {.interception = "TPROXY"});

  const SocketAddress service = store.at(7000, ipv6);
  sockaddr_storage storage{};
  const socklen_t length = service.to_sockaddr(storage);
  const auto* address = reinterpret_cast<const sockaddr*>(&storage);
  const Fd listener = listening(store, service);
  Fd connection;
  client.netns.run([&] {
    connection = stream_socket(service);
    REQUIRE(connect(connection.get(), address, length) == 0);
  });
  Fd accepted(accept(listener.get(), nullptr, nullptr));
  INFO(agent.errors());
  REQUIRE(accepted);
  CHECK(SocketAddress::peer_of(accepted.get())->ip == client.at(0, ipv6).ip);

  char byte = 'a';
  REQUIRE(send(connection.get(), &byte, 1, MSG_NOSIGNAL) == 1);
  REQUIRE(recv(accepted.get(), &byte, 1, 0) == 1);
  REQUIRE(send(accepted.get(), &byte, 1, MSG_NOSIGNAL) == 1);
  REQUIRE(recv(connection.get(), &byte, 1, 0) == 1);
  connection.reset();
  accepted.reset();
  EVENTUALLY(agent.log().size() == 1);
  CHECK(agent.log()[0].received == 1);
  CHECK(agent.log()[0].sent == 1);
}

TEST_CASE("TPROXY: a connection from the port of one that was reset does not go past the agent") {
  const bool ipv6 = GENERATE(false, true);
  CAPTURE(ipv6);
  Mesh mesh;
  Pod& client = mesh.pod("client-0", "10.12.3.10");
  Pod& store = mesh.pod("store-0", "10.12.4.10");
  Agent& agent = mesh.sidecar(store, "store-0", {.interception = "TPROXY"});

  const SocketAddress service = store.at(7000, ipv6);
  sockaddr_storage to{}, from{};
  const socklen_t length = service.to_sockaddr(to);
  client.at(40000, ipv6).to_sockaddr(from);
  const Fd listener = listening(store, service);
  for (size_t connections = 1; connections <= 3; ++connections) {
    Fd connection;
    client.netns.run([&] {
      connection = stream_socket(service);
      REQUIRE(bind(connection.get(), reinterpret_cast<const sockaddr*>(&from), length) == 0);
      REQUIRE(connect(connection.get(), reinterpret_cast<const sockaddr*>(&to), length) == 0);
    });
    Fd accepted(accept(listener.get(), nullptr, nullptr));
    INFO(agent.errors());
    REQUIRE(accepted);
    // The agent never takes the client's own port.
    CHECK(SocketAddress::peer_of(accepted.get())->port != 40000);
    char byte = 'a';
    REQUIRE(send(accepted.get(), &byte, 1, MSG_NOSIGNAL) == 1);
    REQUIRE(recv(connection.get(), &byte, 1, 0) == 1);
    const linger reset{1, 0};
    setsockopt(accepted.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    accepted.reset();
    CHECK(recv(connection.get(), &byte, 1, 0) == -1);
    CHECK(errno == ECONNRESET);
    EVENTUALLY(agent.log().size() == connections);
  }
}
