// Reads a send queue's length and the acknowledged bytes; bpf/tcp_progress.h says why in two ways.
#include "bpf/tcp_progress.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace sockmesh::bpf {

namespace {

// Acknowledgements arrive microseconds apart at worst; a reader that meets one every time is not expected,
// but must end.
constexpr int kExactTries = 10'000;

Result<uint64_t> acknowledged(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return fail(os_error("TCP_INFO"));
  return info.tcpi_bytes_acked;
}

Result<uint64_t> unacknowledged(int socket) {
  int bytes = 0;
  if (ioctl(socket, SIOCOUTQ, &bytes) != 0) return fail(os_error("SIOCOUTQ"));
  return static_cast<uint64_t>(bytes);
}

}  // namespace

Result<uint64_t> bytes_placed_at_least(int tcp_socket) {
  SOCKMESH_TRY(acked, acknowledged(tcp_socket));
  SOCKMESH_TRY(queued, unacknowledged(tcp_socket));
  return acked + queued;
}

Result<uint64_t> bytes_placed(int tcp_socket) {
  SOCKMESH_TRY(before, acknowledged(tcp_socket));
  for (int i = 0; i < kExactTries; ++i) {
    SOCKMESH_TRY(queued, unacknowledged(tcp_socket));
    SOCKMESH_TRY(after, acknowledged(tcp_socket));
    if (after == before) return after + queued;
    before = after;
  }
  return fail("reading a socket's send progress: an acknowledgement came in between {} times in a row",
              kExactTries);
}

Result<PlacedSince> PlacedSince::now(int tcp_socket) {
  SOCKMESH_TRY(base, bytes_placed(tcp_socket));
  return PlacedSince(tcp_socket, base);
}

Result<uint64_t> PlacedSince::at_least() const {
  SOCKMESH_TRY(placed, bytes_placed_at_least(socket_));
  return placed - base_;
}

}  // namespace sockmesh::bpf
