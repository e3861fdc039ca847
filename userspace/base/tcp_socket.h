// What every layer that holds a TCP socket asks of it or tells it. Any thread; the descriptor stays the
// caller's.
#pragma once

#include "base/result.h"

namespace sockmesh {

// SO_LINGER{1,0}: whoever closes the socket, the kernel too when the process dies, sends RST. So it is set
// for as long as bytes may be missing, and taken back only to end in order: a FIN of the kernel's own making
// would tell the peer that it has got everything.
void reset_on_close(int fd, bool enabled = true);

// SIOCOUTQ: bytes written to it that its peer's kernel has not acknowledged; a FIN counts as one.
Result<int> unacknowledged(int fd);

}  // namespace sockmesh
