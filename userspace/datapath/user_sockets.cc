#include "datapath/user_sockets.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/disturb.h"

namespace sockmesh::datapath {

void send_small_writes_at_once(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void reset_on_close(int fd, bool enabled) {
  const linger abrupt{.l_onoff = enabled ? 1 : 0, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
}

void close_as(Fd socket, Closing closing) {
  if (!socket) return;
  disturb("close");
  bool reset = closing == Closing::kReset;
  if (closing == Closing::kResetUnlessPending) {
    // With bytes or a FIN still unacknowledged, a plain close delivers them; the kernel then answers whatever
    // the peer sends with RST.
    int unacknowledged = 0;
    reset = ioctl(socket.get(), SIOCOUTQ, &unacknowledged) != 0 || unacknowledged == 0;
  }
  reset_on_close(socket.get(), reset);
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
