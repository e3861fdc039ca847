// How far a TCP socket's send side has come, in bytes: what was ever put into its send queue, whoever put it
// there. This is what user space compares with the verdict's counters to know that a backlog has drained.
// Any thread.
//
// The kernel tells it in two parts, acknowledged (TCP_INFO) and not (SIOCOUTQ), that cannot be read at once:
// an acknowledgement in between is missing from the first and from the second. So their sum is exact only
// when nothing was acknowledged between the readings, and too little otherwise, by up to a whole send queue
// (docs/sockmap.md#two-readings-are-never-one).
#pragma once

#include <cstdint>

#include "base/result.h"

namespace sockmesh::bpf {

// What of it was placed since `base`, from two readings of which `acknowledged` is the earlier: never too
// much, so right for "has it arrived?". 0 when the sum falls below the base, which it does when what was
// acknowledged in between is from before the base: a difference without sign would then be about 2^64, "all
// has arrived". `unacknowledged` has a sign because the kernel takes the difference of two counters that
// move without a lock. Pure.
uint64_t placed_since(uint64_t base, uint64_t acknowledged, int unacknowledged);

// Bytes placed since construction.
class PlacedSince {
 public:
  // Exactly: reads until no acknowledgement came in between, since a base that is too low lets a drain look
  // finished while bytes are missing. The socket stays the caller's and must outlive this.
  static Result<PlacedSince> now(int tcp_socket);
  // Never too much; see placed_since().
  Result<uint64_t> at_least() const;

 private:
  PlacedSince(int socket, uint64_t base) : socket_(socket), base_(base) {}
  int socket_;
  uint64_t base_;
};

}  // namespace sockmesh::bpf
