// Options of a connection as the kernel has them.
#include "upstream/connector.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <catch2/catch.hpp>

#include "test_support/eventually.h"
#include "test_support/netns.h"
#include "test_support/temp_dir.h"

using namespace sockmesh;
using namespace sockmesh::upstream;

namespace {

Fd listening(const SocketAddress& address) {
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage storage{};
  const socklen_t length = address.to_sockaddr(storage);
  REQUIRE(bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0);
  REQUIRE(listen(fd.get(), 8) == 0);
  return fd;
}

int option(const Fd& fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  getsockopt(fd.get(), level, name, &value, &length);
  return value;
}

// Waits for the outcome: 0 or errno.
int outcome(const Connecting& connecting) {
  if (connecting.established) return 0;
  pollfd one{connecting.socket.get(), POLLOUT, 0};
  REQUIRE(poll(&one, 1, 10'000) == 1);
  return connect_result(connecting.socket.get());
}

}  // namespace

TEST_CASE("keepalive is on when it is asked for, with the values given") {
  const Fd server = listening({IpAddress::loopback(false), 0});
  const auto to = SocketAddress::local_of(server.get()).value();
  ConnectOptions options;
  auto plain = start_connect(to, options);
  REQUIRE(plain);
  CHECK(option(plain->socket, SOL_SOCKET, SO_KEEPALIVE) == 0);
  CHECK(option(plain->socket, IPPROTO_TCP, TCP_NODELAY) == 1);
  options.keepalive = model::Keepalive{3, std::chrono::seconds(60), std::chrono::seconds(7)};
  auto kept = start_connect(to, options);
  REQUIRE(kept);
  CHECK(outcome(*kept) == 0);
  CHECK(option(kept->socket, SOL_SOCKET, SO_KEEPALIVE) == 1);
  CHECK(option(kept->socket, IPPROTO_TCP, TCP_KEEPCNT) == 3);
  CHECK(option(kept->socket, IPPROTO_TCP, TCP_KEEPIDLE) == 60);
  CHECK(option(kept->socket, IPPROTO_TCP, TCP_KEEPINTVL) == 7);
}

TEST_CASE("a refused connect is told from a connection that was reset before anybody looked") {
  const bool ipv6 = GENERATE(false, true);
  SECTION("refused") {
    Fd server = listening({IpAddress::loopback(ipv6), 0});
    const auto address = SocketAddress::local_of(server.get()).value();
    server.reset();
    auto connecting = start_connect(address, {});
    REQUIRE(connecting);
    CHECK(outcome(*connecting) == ECONNREFUSED);
  }
  SECTION("reset, with and without words and FIN before") {
    const bool words = GENERATE(false, true), fin = GENERATE(false, true);
    const Fd server = listening({IpAddress::loopback(ipv6), 0});
    auto connecting = start_connect(SocketAddress::local_of(server.get()).value(), {});
    REQUIRE(connecting);
    Fd peer(accept4(server.get(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(peer);
    if (words) REQUIRE(send(peer.get(), "words", 5, 0) == 5);
    if (fin) REQUIRE(shutdown(peer.get(), SHUT_WR) == 0);
    const linger abrupt{1, 0};
    setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
    peer.reset();
    const int fd = connecting->socket.get();
    pollfd one{fd, POLLOUT, 0};
    EVENTUALLY((poll(&one, 1, 0) == 1 && (one.revents & POLLERR)));
    CHECK(connect_result(fd) == 0);
    char buffer[8];
    if (words) CHECK(recv(fd, buffer, sizeof buffer, 0) == 5);
    if (fin) CHECK(recv(fd, buffer, sizeof buffer, 0) == 0);
    CHECK(option(connecting->socket, SOL_SOCKET, SO_ERROR) == (fin ? EPIPE : ECONNRESET));  // still to be had
  }
}

TEST_CASE("a connection that is given up before it is relayed ends with RST") {
  const bool ipv6 = GENERATE(false, true);
  const bool looked_at = GENERATE(false, true);
  const Fd server = listening({IpAddress::loopback(ipv6), 0});
  auto connecting = start_connect(SocketAddress::local_of(server.get()).value(), {});
  REQUIRE(connecting);
  const Fd peer(accept4(server.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (looked_at) CHECK(outcome(*connecting) == 0);
  connecting->socket.reset();
  char byte;
  CHECK(recv(peer.get(), &byte, 1, 0) == -1);
  CHECK(errno == ECONNRESET);
}

TEST_CASE("a source that is bound late shares its ports between destinations") {
  const test::Netns ns("source");
  ns.set_sysctl("net/ipv4/ip_local_port_range", "40000 40003");  // four ports
  ns.run([] {
    std::vector<Fd> servers;
    std::vector<Connecting> clients;
    ConnectOptions options;
    options.source = SocketAddress{IpAddress::parse("127.0.0.6").value(), 0};
    for (int i = 0; i < 3; ++i)
      servers.push_back(listening({IpAddress::loopback(false), static_cast<uint16_t>(9000 + i)}));
    for (const Fd& server : servers) {
      for (int i = 0; i < 3; ++i) {
        auto connecting = start_connect(SocketAddress::local_of(server.get()).value(), options);
        REQUIRE(connecting);
        CHECK(outcome(*connecting) == 0);
        CHECK(SocketAddress::local_of(connecting->socket.get())->ip == options.source->ip);
        clients.push_back(std::move(*connecting));
      }
    }
  });
}

TEST_CASE("TPROXY: the client's own address as source") {
  const test::Netns ns("transparent");
  ns.ip("rule add fwmark 1337 lookup 133\nroute add local 0.0.0.0/0 dev lo table 133\n");
  ns.run([] {
    const Fd server = listening({IpAddress::loopback(false), 0});
    ConnectOptions options;
    options.source = SocketAddress::parse("203.0.113.9:0").value();
    options.transparent = true;
    options.mark = 1337;
    auto connecting = start_connect(SocketAddress::local_of(server.get()).value(), options);
    REQUIRE(connecting);
    CHECK(SocketAddress::local_of(connecting->socket.get())->ip == options.source->ip);
    CHECK(option(connecting->socket, SOL_SOCKET, SO_MARK) == 1337);
  });
}

TEST_CASE("Unix sockets, by path and in the abstract name space") {
  const test::TempDir dir;
  const std::string path = GENERATE(true, false) ? dir.file("sock") : "@sockmesh-connector-test";
  const Fd server(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (path[0] == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  REQUIRE(bind(server.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0);
  REQUIRE(listen(server.get(), 8) == 0);
  const auto connecting = start_connect(model::UnixPath{path}, {});
  REQUIRE(connecting);
  CHECK(connecting->established);
  CHECK_FALSE(start_connect(model::UnixPath{"/nowhere/at/all"}, {}));
  CHECK_FALSE(start_connect(model::UnixPath{std::string(200, 'x')}, {}));
}

TEST_CASE("failures in Envoy's words") {
  CHECK(connect_failure_text(false, ECONNREFUSED) == "delayed connect error: Connection refused");
  CHECK(connect_failure_text(true, ENETUNREACH) == "immediate connect error: Network is unreachable");
}
