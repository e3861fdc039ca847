#include "datapath/user_sockets.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <utility>

#include "base/disturb.h"
#include "datapath/late_resets.h"

namespace sockmesh::datapath {

void send_small_writes_at_once(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void reset_on_close(int fd, bool enabled) {
  const linger abrupt{.l_onoff = enabled ? 1 : 0, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
}

void close_as(Fd socket, Closing closing, LateResets* late) {
  if (!socket) return;
  disturb("close");
  const bool complete = closing == Closing::kResetUnlessPending;
  if (late && (complete || closing == Closing::kResetOnceDelivered))
    return late->close(std::move(socket), complete);
  // Bytes or a FIN that are still unacknowledged a plain close delivers, unless we left bytes unread; the
  // kernel then answers whatever the peer sends with RST.
  const bool orderly = closing == Closing::kOrderly || (complete && unacknowledged(socket.get()) > 0);
  reset_on_close(socket.get(), !orderly);
}

int unacknowledged(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : -1;
}

bool closed_by_tcp(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_state == TCP_CLOSE;
}

int take_socket_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

}  // namespace sockmesh::datapath
