#include "datapath/flow_sockets.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <utility>

#include "base/disturb.h"
#include "base/tcp_socket.h"
#include "datapath/late_resets.h"

namespace sockmesh::datapath {

void send_small_writes_at_once(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void close_as(Fd socket, Closing closing, LateResets& late) {
  if (!socket) return;
  disturb("close");
  if (closing == Closing::kOrderly || closing == Closing::kReset)
    reset_on_close(socket.get(), closing == Closing::kReset);
  else
    late.close(std::move(socket), closing == Closing::kResetUnlessPending);
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
