// Which loops this machine can run: tests go through all of them.
#pragma once

#include <fcntl.h>

#include <catch2/catch.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "event/loop.h"
#include "test_support/tcp_pair.h"

namespace sockmesh::event {

inline std::vector<Backend> offered_backends() {
  std::vector<Backend> offered{Backend::kEpoll};
  if (Loop::create(Backend::kIoUring)) offered.push_back(Backend::kIoUring);
  return offered;
}

inline std::unique_ptr<Loop> make_loop(Backend backend) {
  auto loop = Loop::create(backend);
  REQUIRE(loop);
  return std::move(*loop);
}

// Two ends of a TCP connection, non-blocking.
inline std::pair<Fd, Fd> stream_pair() {
  auto ends = test::tcp_pair(false);
  for (const Fd* end : {&ends.first, &ends.second}) REQUIRE(fcntl(end->get(), F_SETFL, O_NONBLOCK) == 0);
  return ends;
}

}  // namespace sockmesh::event
