// Bounds what one direction of a flow can hold in the kernel when its reader stalls, whatever the machine's
// sysctls allow (tcp_rmem[2] is 32 MiB on new kernels, tcp_wmem[2] 4 MiB):
//
//   sender -> receive queue -> [what its lane holds] -> send queue -> stalled reader
//             kReceiveQueueBytes                        kUnsentBytes
//
// In all less than 8 MiB: what each lane holds is in userspace/README.md#bounds. Any thread.
#pragma once

#include <cstddef>

namespace sockmesh::datapath {

// What the receive queue of a relayed socket may take, in the kernel's own accounting. The window this
// leaves, about 2.5 MiB, is 200 Mbit/s at 100 ms.
constexpr size_t kReceiveQueueBytes = 3u << 20;

// What the send queue takes while the peer's window is closed; bytes in flight come on top. More than lane 1
// has on the way to one target (bpf::SpliceMaps::Options::limit_bytes): a backlog must never wait for the
// peer.
constexpr size_t kUnsentBytes = (2u << 20) + (256u << 10);

// Sets both bounds, before or while bytes are flowing; a second time does nothing. On Linux before 5.14,
// without CAP_NET_ADMIN, the receive queue keeps the kernel's own bound.
void bound_queues(int tcp_socket);

// Sets the second bound again, which also makes the kernel look whether the socket can be written to: the
// worker of a backlog that waits for it runs.
void wake_writer(int tcp_socket);

}  // namespace sockmesh::datapath
