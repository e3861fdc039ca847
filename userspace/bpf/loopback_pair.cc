// bind to port 0, connect, accept, close the listener.
#include "bpf/loopback_pair.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace sockmesh::bpf {

namespace {

Result<void> prepare(int socket) {
  const int on = 1;
  if (fcntl(socket, F_SETFL, O_NONBLOCK) != 0) return fail(os_error("O_NONBLOCK"));
  if (setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) return fail(os_error("TCP_NODELAY"));
  return {};
}

}  // namespace

Result<LoopbackPair> open_loopback_pair() {
  Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  Fd connecting(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener || !connecting) return fail(os_error("socket"));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (bind(listener.get(), generic, size) != 0 || listen(listener.get(), 1) != 0 ||
      getsockname(listener.get(), generic, &size) != 0)
    return fail(os_error("listen on 127.0.0.1"));
  // Blocking: on loopback the handshake is over when connect() returns. Without an interface lo that is up it
  // fails at once.
  if (connect(connecting.get(), generic, size) != 0) return fail(os_error("connect to 127.0.0.1"));
  Fd accepted(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!accepted) return fail(os_error("accept on 127.0.0.1"));
  SOCKMESH_CHECK(prepare(connecting.get()));
  SOCKMESH_CHECK(prepare(accepted.get()));
  return LoopbackPair{std::move(connecting), std::move(accepted)};
}

}  // namespace sockmesh::bpf
