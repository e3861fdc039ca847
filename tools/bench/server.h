// The load generator's server: one epoll loop, answers exchanges and counts bulk bytes. Runs until killed.
#pragma once

#include "base/address.h"

namespace sockmesh::bench {

[[noreturn]] void serve(const SocketAddress& address);

}  // namespace sockmesh::bench
