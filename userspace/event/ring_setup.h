// Making rings: the best set of flags the kernel takes, and a trial of everything we use. io_uring is refused
// in many places (seccomp profiles of container runtimes, kernel.io_uring_disabled, sandboxes that accept the
// set-up and fail later), so nothing is concluded from a kernel version.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "base/result.h"

namespace sockmesh::event {

struct RingCloser {
  void operator()(io_uring* ring) const {
    io_uring_queue_exit(ring);
    delete ring;
  }
};
using Ring = std::unique_ptr<io_uring, RingCloser>;

// `entries` of submissions, eight times as many of completions. Made disabled: the thread that enables it
// (enable_ring) is the only one that may use it. Any thread.
Result<Ring> make_ring(unsigned entries);

// By hand: Debian's liburing 2.3 declares io_uring_enable_rings() and does not export it.
Result<void> enable_ring(io_uring& ring);

// A completion as a value (the kernel's struct ends in a flexible array), and taking the next one, if there
// is.
struct Cqe {
  uint64_t user_data = 0;
  int32_t res = 0;
  uint32_t flags = 0;
};
std::optional<Cqe> take_cqe(io_uring& ring);

// Moves bytes through a ring of its own: a multishot receive into provided buffers, a send, a poll of an
// epoll descriptor, a wait with a timeout, a cancellation. Takes well below a millisecond.
Result<void> try_ring();

}  // namespace sockmesh::event
