// What is done to the sockets of a flow: closing them, in every lane, and options of lane 0. The descriptors
// stay the caller's unless they come as Fd. Any thread.
#pragma once

#include "base/fd.h"
#include "datapath/flow_ends.h"

namespace sockmesh::datapath {

class LateResets;

void send_small_writes_at_once(int fd);  // TCP_NODELAY: a relay's writes are somebody's finished message
void close_as(Fd socket, Closing closing, LateResets& late);  // and whatever reset_on_close() had said before
// Its state is CLOSE. Unless we had sent FIN, its peer has reset it or is not there any more, whatever
// SO_ERROR and recv() say: the error is told once, and somebody else may have asked.
bool closed_by_tcp(int fd);
int take_socket_error(int fd);  // SO_ERROR, which clears it

}  // namespace sockmesh::datapath
