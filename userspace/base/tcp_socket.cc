#include "base/tcp_socket.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace sockmesh {

void reset_on_close(int fd, bool enabled) {
  const linger abrupt{.l_onoff = enabled ? 1 : 0, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
}

Result<int> unacknowledged(int fd) {
  int bytes = 0;
  if (ioctl(fd, SIOCOUTQ, &bytes) != 0) return fail(os_error("SIOCOUTQ"));
  return bytes;
}

}  // namespace sockmesh
