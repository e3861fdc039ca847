#include "server/agent.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "interception/listening_socket.h"

namespace sockmesh::server {

model::SnapshotPtr Agent::snapshot() const {
  const std::lock_guard lock(mutex_);
  return snapshot_;
}

size_t Agent::active() const {
  size_t sum = 0;
  for (const auto& worker : workers) sum += worker->active();
  return sum;
}

void Agent::publish(model::SnapshotPtr next) {
  if (const auto warnings = access_log->configure(next->mesh); !warnings)
    spdlog::warn("access log: {}; it stays as it was", warnings.error().message);
  for (const auto& worker : workers) worker->publish(next);
  rebind(*next);
  clusters.keep_only(*next);
  const std::lock_guard lock(mutex_);
  snapshot_ = std::move(next);
}

// Binds for every worker or for none, so that a port is either fully served or said to be missing. What could
// not be bound is tried again with the next configuration.
void Agent::rebind(const model::Snapshot& next) {
  const std::vector<Bind> want = wanted_binds(next);
  const BindChanges changes = bind_changes(bound_, want);
  for (const Bind& bind : changes.remove) {
    spdlog::info("no longer listening on {} ({})", bind.address.to_string(), bind.listener);
    for (const auto& worker : workers) worker->close_listener(bind);
    std::erase(bound_, bind);
  }
  for (const Bind& bind : changes.add) {
    std::vector<Fd> sockets;
    for (size_t i = 0; i < workers.size(); ++i) {
      auto socket = interception::listen_on(bind.address, {});
      if (!socket) {
        spdlog::error("listener {}: {}", bind.listener, socket.error().message);
        sockets.clear();
        break;
      }
      sockets.push_back(std::move(*socket));
    }
    if (sockets.empty()) continue;
    for (size_t i = 0; i < workers.size(); ++i)
      workers[i]->listen(std::move(sockets[i]), {bind.direction, bind.address.port, bind.listener});
    bound_.push_back(bind);
    spdlog::info("listening on {} ({})", bind.address.to_string(), bind.listener);
  }
  std::sort(bound_.begin(), bound_.end());
}

}  // namespace sockmesh::server
