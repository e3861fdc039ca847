// A set size ends the kernel's growing of a receive buffer. SO_RCVBUF cannot set it for everybody: it is
// silently cut to net.core.rmem_max, by default 212992, which would cost throughput for the sake of a few
// stalled readers.
#include "datapath/socket_bounds.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

#ifndef SO_BUF_LOCK  // Linux 5.14
#define SO_BUF_LOCK 72
#endif

namespace sockmesh::datapath {

namespace {

constexpr int kReceiveBufferLocked = 2;  // SOCK_RCVBUF_LOCK

bool set(int socket, int level, int option, int value) {
  return setsockopt(socket, level, option, &value, sizeof value) == 0;
}

int get(int socket, int level, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(socket, level, option, &value, &size) == 0 ? value : 0;
}

// With CAP_NET_ADMIN. The kernel doubles what it is given.
bool set_receive_buffer(int socket) {
  return set(socket, SOL_SOCKET, SO_RCVBUFFORCE, static_cast<int>(kReceiveQueueBytes / 2));
}

// Without it: the kernel itself makes room for a reader who wants so many bytes at a time, and then is told
// to leave the size alone. How much room it makes for a byte depends on the kernel and on what has arrived so
// far, at most four times as much; so a quarter is asked for, and then what is missing.
void raise_receive_buffer(int socket) {
  constexpr auto kWanted = static_cast<int64_t>(kReceiveQueueBytes);
  if (get(socket, SOL_SOCKET, SO_BUF_LOCK) & kReceiveBufferLocked) return;
  int64_t low_water = kWanted / 4;
  for (int tries = 0; tries < 3; ++tries) {
    if (!set(socket, SOL_SOCKET, SO_RCVLOWAT, static_cast<int>(low_water))) break;
    const int64_t size = get(socket, SOL_SOCKET, SO_RCVBUF);
    if (size <= 0 || size >= kWanted) break;
    low_water = std::min(low_water * kWanted / size, kWanted);
  }
  set(socket, SOL_SOCKET, SO_BUF_LOCK, kReceiveBufferLocked);
  set(socket, SOL_SOCKET, SO_RCVLOWAT, 1);  // and so whatever has come meanwhile is announced
}

}  // namespace

void bound_queues(int tcp_socket) {
  if (!set_receive_buffer(tcp_socket)) raise_receive_buffer(tcp_socket);
  // Older kernels keep the window clamp of the old size otherwise.
  set(tcp_socket, IPPROTO_TCP, TCP_WINDOW_CLAMP, static_cast<int>(kReceiveQueueBytes));
  wake_writer(tcp_socket);
}

void wake_writer(int tcp_socket) {
  set(tcp_socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(kUnsentBytes));
}

}  // namespace sockmesh::datapath
