// Shutdown: how the end goes, on the main loop. SIGTERM: not ready any more, but served on, since the rest of
// the cluster learns of it only by and by and the application may still have something to say; then nothing
// new is accepted and what is left is reset, spread over a second so that the clients don't all come back at
// once. SIGINT, or a second SIGTERM: the last part at once. Main thread.
#pragma once

#include <functional>
#include <memory>

#include "event/loop.h"
#include "server/agent.h"

namespace sockmesh::server {

// The pure part: whether serving on is over. `since` is the time since SIGTERM.
bool drained(const Options& options, Duration since, size_t active);

// How many connections to reset in a step of the spread: `left` of them over the `steps` that remain.
size_t reset_share(size_t left, unsigned steps);

class Shutdown {
 public:
  Shutdown(event::Loop& loop, Agent& agent, std::function<void()> over);
  void begin();  // SIGTERM
  void hurry();  // SIGINT

 private:
  void look();
  void reset_some();

  Agent& agent_;
  const std::function<void()> over_;
  enum class Phase { kServing, kDraining, kResetting } phase_ = Phase::kServing;
  MonotonicTime began_{};
  unsigned steps_left_ = 0;
  std::unique_ptr<event::Timer> timer_;
};

}  // namespace sockmesh::server
