// The load generator's client: connections in a closed loop, at a given rate, or idle, for a given time.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/address.h"

namespace sockmesh::bench {

struct Load {
  SocketAddress server;
  uint32_t connections = 1;
  uint32_t size = 64;  // bytes of a request and of its answer; of a write for bulk
  std::chrono::nanoseconds time{};
  double rate = 0;  // exchanges a second over all connections; of paced ones alone
};

struct Measured {
  double operations = 0;              // exchanges, connections, or bytes that arrived
  double seconds = 0;                 // in which they did
  double cpu_seconds = 0;             // of all processors and whoever used them, kernel workers too
  double p50 = 0, p99 = 0, p999 = 0;  // of an exchange or a connection, microseconds
};

// Request and answer, the next request when the answer is there.
Measured measure_exchanges(const Load& load);
// Connect, one exchange, close.
Measured measure_connections(const Load& load);
// Requests that are due at a steady rate, whether or not the answers keep up: what waits for an answer before
// it counts as late (no coordinated omission).
Measured measure_paced(const Load& load);
Measured measure_upload(const Load& load);
Measured measure_download(const Load& load);
// Opens the connections, with one exchange in each, says "ready", and holds them until standard input ends.
void hold_idle(const Load& load);
// Keeps one processor busy until killed.
[[noreturn]] void burn();

}  // namespace sockmesh::bench
