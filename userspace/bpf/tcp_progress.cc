// Reads what is acknowledged and what is not; bpf/tcp_progress.h says why the order matters.
#include "bpf/tcp_progress.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/disturb.h"
#include "base/tcp_socket.h"

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

}  // namespace

uint64_t placed_since(uint64_t base, uint64_t acknowledged, int unacknowledged) {
  // 2^63 bytes do not come in the life of a connection.
  const int64_t placed = static_cast<int64_t>(acknowledged) + unacknowledged - static_cast<int64_t>(base);
  return placed > 0 ? static_cast<uint64_t>(placed) : 0;
}

Result<PlacedSince> PlacedSince::now(int tcp_socket) {
  SOCKMESH_TRY(before, acknowledged(tcp_socket));
  for (int i = 0; i < kExactTries; ++i) {
    disturb("base");
    SOCKMESH_TRY(queued, unacknowledged(tcp_socket));
    disturb("base");
    SOCKMESH_TRY(after, acknowledged(tcp_socket));
    // Both readings of what is acknowledged were made under the socket's lock, and so are acknowledgements:
    // equal, they hold for the reading in between too.
    if (after == before) return PlacedSince(tcp_socket, placed_since(0, after, queued));
    before = after;
  }
  return fail("reading a socket's send progress: an acknowledgement came in between {} times in a row",
              kExactTries);
}

Result<uint64_t> PlacedSince::at_least() const {
  SOCKMESH_TRY(acked, acknowledged(socket_));
  disturb("placed");
  SOCKMESH_TRY(queued, unacknowledged(socket_));
  return placed_since(base_, acked, queued);
}

}  // namespace sockmesh::bpf
