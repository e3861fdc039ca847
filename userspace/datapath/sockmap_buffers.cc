// SO_RCVBUF both sets the size and ends the kernel's growing of it.
#include "datapath/sockmap_buffers.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/fd.h"

namespace sockmesh::datapath {

namespace {

constexpr int kAsked = kReceiveQueueBytes / 2;  // the kernel doubles it

// Tried on a socket that nobody uses, since there is no way back: 0 when neither option can set the bound.
int option_that_works() {
  const Fd probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  for (const int option : {SO_RCVBUF, SO_RCVBUFFORCE}) {
    int size = 0;
    socklen_t length = sizeof size;
    if (setsockopt(probe.get(), SOL_SOCKET, option, &kAsked, sizeof kAsked) == 0 &&
        getsockopt(probe.get(), SOL_SOCKET, SO_RCVBUF, &size, &length) == 0 && size >= 2 * kAsked)
      return option;
  }
  return 0;
}

}  // namespace

void bound_receive_queue(int tcp_socket) {
  // Asked once. The privileged option may be lost when privileges are dropped; then a flow keeps the kernel's
  // own bound.
  static const int option = option_that_works();
  if (option == 0 || setsockopt(tcp_socket, SOL_SOCKET, option, &kAsked, sizeof kAsked) != 0) return;
  // Older kernels keep the window clamp of the old size otherwise.
  const int clamp = kReceiveQueueBytes;
  setsockopt(tcp_socket, IPPROTO_TCP, TCP_WINDOW_CLAMP, &clamp, sizeof clamp);
}

}  // namespace sockmesh::datapath
