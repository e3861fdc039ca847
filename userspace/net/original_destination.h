// Original destination: where a client wanted to go before the pod's rules sent it to us. Under REDIRECT the
// kernel's connection tracking remembers it (SO_ORIGINAL_DST); under TPROXY nothing was rewritten and the
// local address is the answer. An address that equals our own means nobody redirected the connection, as in
// Envoy's original_dst filter. Worker threads.
#pragma once

#include "base/address.h"
#include "base/result.h"

namespace sockmesh::net {

struct Captured {
  SocketAddress destination;
  bool redirected = false;  // false: the client really dialled the socket that accepted it
};

// Of an accepted socket whose listener was bound to `listener_port`. Fails when the socket is no longer
// connected (the client reset it before we looked).
Result<Captured> original_destination(int fd, uint16_t listener_port);

// The decision alone: `tracked` is what connection tracking said, if it said anything.
Captured decide(const SocketAddress& local, const SocketAddress* tracked, uint16_t listener_port);

}  // namespace sockmesh::net
