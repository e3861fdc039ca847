// What a direct_record says: the kernel's raw counters of a direct flow as bytes of the application, and who
// ended it. Pure, any thread. docs/direct.md#bytes and #who-closed-first have the reasons.
#pragma once

#include <cstdint>
#include <string_view>

#include "intf/direct.h"

namespace sockmesh::bpf {

// Bytes that the application sent and that left for the server at least once: exact in events, and never too
// much of open flows.
uint64_t sent_bytes(const direct_record& record);
// Of these, what the server's kernel has acknowledged: exact in events, nearly so of open flows. After a
// reset it is the most that the server can have read.
uint64_t acked_bytes(const direct_record& record);
// Bytes that came from the server: exact, whether or not the application has read them.
uint64_t received_bytes(const direct_record& record);

enum class DirectEnd : uint8_t {
  kOpen,          // it has not ended
  kNever,         // it was never established; the error says why
  kClient,        // the application closed, or shut its side down, first
  kServer,        // the server did
  kReset,         // the server reset it
  kTimeout,       // nothing was acknowledged for too long
  kUnreachable,   // the network said so
  kKilled,        // an administrator, or drain: ss -K, bpf_sock_destroy()
  kAborted,       // the application reset it: SO_LINGER of 0, or closed with unread bytes
  kDisconnected,  // connect() with AF_UNSPEC
};

DirectEnd end_of(const direct_record& record);
std::string_view to_string(DirectEnd end);

}  // namespace sockmesh::bpf
