// What is done to the sockets of a flow: closing them, in every lane, and options of lane 0. The descriptors
// stay the caller's unless they come as Fd. Any thread.
#pragma once

#include "base/fd.h"
#include "datapath/user_ends.h"

namespace sockmesh::datapath {

class LateResets;

void send_small_writes_at_once(int fd);  // TCP_NODELAY: a relay's writes are somebody's finished message
// SO_LINGER{1,0}: whoever closes the socket, the kernel too when the process dies, sends RST. So it is set
// for as long as bytes may be missing, and taken back only to end in order: a FIN of the kernel's own making
// would tell the peer that it has got everything.
void reset_on_close(int fd, bool enabled = true);
// And whatever reset_on_close() had said before. Without `late`, what waits for delivery is reset at once.
void close_as(Fd socket, Closing closing, LateResets* late);
int unacknowledged(
    int fd);  // bytes written to it that its peer's kernel has not confirmed; -1: not to be had
// Its state is CLOSE. Unless we had sent FIN, its peer has reset it or is not there any more, whatever
// SO_ERROR and recv() say: the error is told once, and somebody else may have asked.
bool closed_by_tcp(int fd);
int take_socket_error(int fd);  // SO_ERROR, which clears it

}  // namespace sockmesh::datapath
