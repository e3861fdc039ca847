// The load generator's client: a number of connections in a closed loop for a given time.
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
};

struct Measured {
  double per_second = 0;  // exchanges, or bytes counted by the server
  double p50 = 0;         // of an exchange, microseconds
  double p99 = 0;
};

Measured measure_exchanges(const Load& load);
Measured measure_bulk(const Load& load);

}  // namespace sockmesh::bench
