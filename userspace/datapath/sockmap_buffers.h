// Bounds what one direction of a flow can hold in the kernel when its reader stalls: the receive queue of the
// socket the bytes come from, which the kernel would otherwise let grow to tcp_rmem[2] (32 MiB on new
// kernels), plus the send queue of the socket they go to (tcp_wmem[2], 4 MiB by default). Any thread.
#pragma once

#include <cstddef>

namespace sockmesh::datapath {

// What the receive queue of a relayed socket may take, in the kernel's own accounting. With a send queue of 4
// MiB a stalled reader costs less than 8 MiB. The window this leaves, about 2.5 MiB, is 200 Mbit/s at 100 ms.
constexpr size_t kReceiveQueueBytes = 3u << 20;

// Sets the bound, for sockets whose bytes are flowing. Where net.core.rmem_max is too small for it and the
// process may not exceed it, the socket is left alone: a small fixed window would cost everybody's throughput
// for the sake of a few stalled readers.
void bound_receive_queue(int tcp_socket);

}  // namespace sockmesh::datapath
