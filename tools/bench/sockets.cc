#include "sockets.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "net/listening_socket.h"

namespace sockmesh::bench {

void die(const std::string& what) {
  std::perror(("sm-bench: " + what).c_str());
  std::exit(1);
}

Fd listen_on(const SocketAddress& address) {
  auto fd = net::listen_on(address, {});
  if (!fd) {
    std::fprintf(stderr, "sm-bench: %s\n", fd.error().message.c_str());
    std::exit(1);
  }
  return std::move(*fd);
}

namespace {

Fd connecting(const SocketAddress& address, int type) {
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | type, 0));
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_storage storage{};
  const socklen_t length = address.to_sockaddr(storage);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0 && errno != EINPROGRESS)
    die("connect " + address.to_string());
  return fd;
}

}  // namespace

Fd connect_to(const SocketAddress& address) { return connecting(address, 0); }
Fd start_connecting(const SocketAddress& address) { return connecting(address, SOCK_NONBLOCK); }

void send_all(int fd, const void* data, size_t length) {
  const char* at = static_cast<const char*>(data);
  while (length > 0) {
    const ssize_t put = send(fd, at, length, MSG_NOSIGNAL);
    if (put <= 0) die("send");
    at += put;
    length -= static_cast<size_t>(put);
  }
}

void read_all(int fd, void* data, size_t length) {
  const ssize_t got = recv(fd, data, length, MSG_WAITALL);
  if (got != static_cast<ssize_t>(length)) die("recv: connection ended early");
}

}  // namespace sockmesh::bench
