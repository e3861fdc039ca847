// What is done to the sockets of a flow: closing them, in every lane, and options of lane 0. The descriptors
// stay the caller's unless they come as Fd. Any thread.
#pragma once

#include "base/fd.h"
#include "datapath/user_ends.h"

namespace sockmesh::datapath {

void send_small_writes_at_once(int fd);  // TCP_NODELAY: a relay's writes are somebody's finished message
void reset_on_close(int fd);             // SO_LINGER{1,0}
void close_as(Fd socket, Closing closing);
int take_socket_error(int fd);  // SO_ERROR, which clears it

}  // namespace sockmesh::datapath
