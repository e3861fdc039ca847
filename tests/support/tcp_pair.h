// A connected TCP pair over loopback, for tests of what works on sockets. Any thread.
#pragma once

#include <utility>

#include "base/fd.h"

namespace sockmesh::test {

// The connecting and the accepted socket, blocking, in the network namespace of the calling thread. Throws
// std::runtime_error.
std::pair<Fd, Fd> tcp_pair(bool ipv6);

}  // namespace sockmesh::test
