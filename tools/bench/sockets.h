// The few socket calls both sides of the load generator make. Errors end the program: a benchmark has no use
// for half a result.
#pragma once

#include <string>

#include "base/address.h"
#include "base/fd.h"

namespace sockmesh::bench {

[[noreturn]] void die(const std::string& what);  // with errno's text

Fd listen_on(const SocketAddress& address);              // non-blocking
Fd connect_to(const SocketAddress& address);             // blocking until connected; TCP_NODELAY
Fd start_connecting(const SocketAddress& address);       // non-blocking, TCP_NODELAY; writable once it stands
void send_all(int fd, const void* data, size_t length);  // blocking
void read_all(int fd, void* data, size_t length);        // blocking

}  // namespace sockmesh::bench
