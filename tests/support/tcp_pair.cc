#include "test_support/tcp_pair.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <stdexcept>

#include "base/address.h"

namespace sockmesh::test {
namespace {

void require(bool done, const char* what) {
  if (!done) throw std::runtime_error(os_error(what).message);
}

}  // namespace

std::pair<Fd, Fd> tcp_pair(bool ipv6) {
  const SocketAddress any_port{IpAddress::loopback(ipv6), 0};
  sockaddr_storage storage{};
  socklen_t length = any_port.to_sockaddr(storage);
  const Fd listener(socket(any_port.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  require(bind(listener.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0, "bind");
  require(listen(listener.get(), 1) == 0, "listen");
  const auto bound = SocketAddress::local_of(listener.get());
  require(bound.has_value(), "getsockname");
  length = bound->to_sockaddr(storage);
  Fd client(socket(any_port.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  require(connect(client.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0, "connect");
  Fd server(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  require(static_cast<bool>(server), "accept");
  const int on = 1;
  for (const Fd* fd : {&client, &server}) setsockopt(fd->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return {std::move(client), std::move(server)};
}

}  // namespace sockmesh::test
