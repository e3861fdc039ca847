// How far a TCP socket's send side has come, in bytes: what was ever put into its send queue, whoever put it
// there. This is what user space compares with the verdict's counters to know that a backlog has drained.
// Any thread.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace sockmesh::bpf {

// Everything put into the send queue so far, up to a constant of the connection. The kernel tells it in two
// parts, acknowledged (TCP_INFO) and not (SIOCOUTQ), that cannot be read at once.

// Never too much: an acknowledgement between the two reads makes it too little. Right for "has it arrived?".
Result<uint64_t> bytes_placed_at_least(int tcp_socket);
// Exactly: reads until no acknowledgement came in between. Needed for a base, since a base that is too low
// lets a drain look finished while bytes are missing (facts I13).
Result<uint64_t> bytes_placed(int tcp_socket);

// Bytes placed since construction.
class PlacedSince {
 public:
  static Result<PlacedSince> now(int tcp_socket);  // the socket stays the caller's and must outlive this
  Result<uint64_t> at_least() const;

 private:
  PlacedSince(int socket, uint64_t base) : socket_(socket), base_(base) {}
  int socket_;
  uint64_t base_;
};

}  // namespace sockmesh::bpf
