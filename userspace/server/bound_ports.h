// BoundPorts: the ports that the configuration wants really bound (gateways, captureMode NONE), kept in step
// with it. A port that cannot be had, because somebody else has it or its address is not there yet, is tried
// again after 1 s, then after twice as long each time, at most a minute. Main thread, except where said.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "event/loop.h"
#include "server/binds.h"

namespace sockmesh::server {

class BoundPorts {
 public:
  struct Effects {
    std::function<Result<void>(const Bind&)> open;  // for every worker or for none
    std::function<void(const Bind&)> close;
  };
  struct Missing {
    Bind bind;
    std::string error;
  };
  static constexpr Duration kFirstRetry = std::chrono::seconds(1), kLongestRetry = std::chrono::minutes(1);

  BoundPorts(event::Loop& loop, Effects effects, Duration first_retry = kFirstRetry);

  void want(std::vector<Bind> binds);  // sorted, as wanted_binds() gives them
  // Closes those of a direction, or all, and never opens them again.
  void stop(std::optional<model::Direction> direction);
  std::vector<Missing> missing() const;  // any thread

 private:
  void open_missing();
  bool stopped(const Bind& bind) const;

  const Effects effects_;
  const Duration first_retry_;
  const std::unique_ptr<event::Timer> retry_;
  Duration pause_{};
  std::vector<Bind> wanted_, bound_;  // sorted
  bool all_stopped_ = false, inbound_stopped_ = false;

  mutable Mutex mutex_;
  std::vector<Missing> missing_ SOCKMESH_GUARDED_BY(mutex_);
};

}  // namespace sockmesh::server
