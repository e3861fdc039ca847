// Peek: looks at the first bytes of a connection without taking them, until whoever asked has seen enough.
// Used only where a route depends on them, so that server-first protocols never wait. Bounded in bytes and,
// when asked, in time. Worker thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "base/clock.h"
#include "event/watched_fd.h"

namespace sockmesh::connection {

enum class PeekEnd : uint8_t {
  kEnough,   // `look` said so
  kTimeout,  // the time is up
  kClosed,   // the client sent FIN or RST before there was enough
};

class Peek {
 public:
  // `look` gets what has arrived so far, at most `limit` bytes, and returns true when that is enough; with
  // `limit` bytes it is always enough. `done` is called once and may destroy this. `timeout` absent: none.
  // `socket` outlives this, nobody else watches it meanwhile, and its owner may close it at any time.
  Peek(event::Loop& loop, event::WatchedFd& socket, size_t limit, std::optional<Duration> timeout,
       std::function<bool(std::span<const uint8_t>)> look, std::function<void(PeekEnd)> done);
  ~Peek();

 private:
  void readable(uint32_t events);
  void finish(PeekEnd end);

  event::WatchedFd& socket_;
  const size_t limit_;
  const std::function<bool(std::span<const uint8_t>)> look_;
  std::function<void(PeekEnd)> done_;
  std::unique_ptr<event::Timer> timer_;
};

}  // namespace sockmesh::connection
