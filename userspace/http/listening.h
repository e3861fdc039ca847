// Listening sockets of an HTTP server: TCP and Unix. Non-blocking; their connections inherit small kernel
// buffers, since what the kernel holds for a client that does not read counts as the pod's memory too.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace sockmesh::http {

// `address` "": all addresses of both families. Port 0: the kernel chooses. Never shared with another process
// (no SO_REUSEPORT). Errors name address and port.
Result<Fd> listen_tcp(const std::string& address, uint16_t port);

// A socket file that nobody listens on is replaced; one that someone listens on is an error. Mode 0660. The
// file is the caller's to remove.
Result<Fd> listen_unix(const std::string& path, std::optional<std::pair<uid_t, gid_t>> owner);

}  // namespace sockmesh::http
