// A queue in the kernel that nobody works off: the send queue of a socket is full of lane 0's bytes, since
// their reader reads none, and so the worker that writes to it what was redirected finds no room. For tests
// of what happens while it has yet to come. Failures are Catch's.
#pragma once

#include <cstddef>
#include <string>

#include "base/fd.h"

namespace sockmesh::test {

inline constexpr size_t kLane0Bytes = 400'000;

void set_option(int socket, int level, int option, int value);

// Sends it all; the kernel has room for it.
void put(int socket, const std::string& bytes);

// Lane 0's bytes into the send queue of `target`, whose peer is `reader`: nearly all of them stay there.
void fill_send_queue(int target, const Fd& reader);

// From here on the worker finds no room in `target`, until let_worker_in(): or the watchdog of a flow, which
// looks for stuck backlogs, lets it in, after some 100 ms.
void keep_worker_out(int target);
void let_worker_in(int target);

}  // namespace sockmesh::test
