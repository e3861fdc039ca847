// FlowTimers: the idle timeout and the maximum duration of one flow. Noting activity costs nothing: the timer
// is not moved by every byte, it looks at the time of the last one when it fires. Thread: the loop's.
#pragma once

#include <functional>
#include <memory>

#include "datapath/relay.h"
#include "event/loop.h"

namespace sockmesh::datapath {

class FlowTimers {
 public:
  // `expired` gets kIdleTimeout or kMaxDuration, and may destroy this object.
  FlowTimers(event::Loop& loop, const RelayOptions& options, std::function<void(CloseReason)> expired);

  void active() { last_active_ = loop_.now(); }

 private:
  void idle_fired();

  event::Loop& loop_;
  const Duration idle_timeout_;
  const std::function<void(CloseReason)> expired_;
  MonotonicTime last_active_;
  std::unique_ptr<event::Timer> idle_, duration_;
};

}  // namespace sockmesh::datapath
