#include "server/bound_ports.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace sockmesh::server {

BoundPorts::BoundPorts(event::Loop& loop, Effects effects, Duration first_retry)
    : effects_(std::move(effects)),
      first_retry_(first_retry),
      retry_(loop.timer([this] { open_missing(); })) {}

void BoundPorts::want(std::vector<Bind> binds) {
  std::erase_if(binds, [this](const Bind& bind) { return stopped(bind); });
  wanted_ = std::move(binds);
  for (const Bind& bind : bind_changes(bound_, wanted_).remove) {
    spdlog::info("no longer listening on {} ({})", bind.address.to_string(), bind.listener);
    effects_.close(bind);
    std::erase(bound_, bind);
  }
  pause_ = first_retry_;
  open_missing();
}

void BoundPorts::stop(std::optional<model::Direction> direction) {
  (direction ? inbound_stopped_ : all_stopped_) = true;
  want(std::move(wanted_));
}

bool BoundPorts::stopped(const Bind& bind) const {
  return all_stopped_ || (inbound_stopped_ && bind.direction == model::Direction::kInbound);
}

void BoundPorts::open_missing() {
  const std::vector<Missing> before = missing();
  std::vector<Missing> missing;
  for (const Bind& bind : bind_changes(bound_, wanted_).add) {
    if (const auto opened = effects_.open(bind); !opened) {
      missing.push_back({bind, opened.error().message});
      const bool told = std::any_of(before.begin(), before.end(), [&](const Missing& one) {
        return one.bind == bind && one.error == missing.back().error;
      });
      if (!told) spdlog::error("listener {}: {}; it is tried again", bind.listener, opened.error().message);
      continue;
    }
    spdlog::info("listening on {} ({})", bind.address.to_string(), bind.listener);
    bound_.insert(std::upper_bound(bound_.begin(), bound_.end(), bind), bind);
  }
  if (missing.empty()) {
    retry_->cancel();
  } else {
    retry_->set(pause_);
    pause_ = std::min(2 * pause_, kLongestRetry);
  }
  const Lock lock(mutex_);
  missing_ = std::move(missing);
}

std::vector<BoundPorts::Missing> BoundPorts::missing() const {
  const Lock lock(mutex_);
  return missing_;
}

}  // namespace sockmesh::server
