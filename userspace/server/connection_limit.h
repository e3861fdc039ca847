// How many connections the process may carry. Each takes two descriptors, its two sockets, and what the agent
// has open besides must be had whatever they are. Pure.
#pragma once

#include <cstddef>

namespace sockmesh::server {

// Descriptors that are no connection's: listeners, rings, maps, logs; and the admin server's.
extern const size_t kReservedDescriptors;

// So many are carried however low the limit is. Where that is too many, new ones wait in the kernel's backlog
// until descriptors are free (Acceptor).
constexpr size_t kFewestConnections = 64;

// As many as are `wanted` (0: as many as can be), at most half of what a limit of `descriptors` leaves.
size_t connection_limit(size_t wanted, size_t descriptors);

}  // namespace sockmesh::server
