// Connector: opens one TCP or Unix connection without blocking. Values in, a socket out; waiting for the
// outcome is dial.h. Any thread.
#pragma once

#include <optional>
#include <string>

#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"
#include "model/snapshot.h"
#include "net/network_namespace.h"

namespace sockmesh::upstream {

struct ConnectOptions {
  // Bound first; port 0: the kernel's choice at connect time. Another port that is taken is an error,
  // EADDRINUSE or EADDRNOTAVAIL.
  std::optional<SocketAddress> source;
  bool transparent = false;  // `source` is somebody else's address (TPROXY): IP_TRANSPARENT
  uint32_t mark = 0;         // SO_MARK, 0: none
  std::optional<model::Keepalive> keepalive;
};

struct Connecting {
  Fd socket;
  bool established = false;  // false: wait until it is writable, then ask connect_result()
};

// An error's os_error is errno. `to` is a socket address or a Unix path. A TCP socket is set to send RST when
// it is closed (SO_LINGER{1,0}): whoever gives it up before a flow has ended in order, by dying too, must not
// let the server take that for the client's FIN.
Result<Connecting> start_connect(const model::EndpointAddress& to, const ConnectOptions& options,
                                 const net::NetworkNamespace& network = {});

// 0, or the errno with which connecting failed. 0 too for a connection that stood and has been reset before
// anybody looked: that is no refusal, and its error, which the kernel tells once, is left to whoever reads
// from it.
int connect_result(int fd);

// Envoy's texts for the access log: "delayed connect error: Connection refused", and "immediate ..." when
// connect() itself said no. A timeout has none.
std::string connect_failure_text(bool immediate, int error);

}  // namespace sockmesh::upstream
