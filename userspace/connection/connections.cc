#include "connection/connections.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include "connection/connection.h"

namespace sockmesh::connection {

namespace {

constexpr Duration kLoopReminder = std::chrono::minutes(1);

}  // namespace

bool Limit::take() {
  if (standing_.fetch_add(1, std::memory_order_relaxed) < max_) return true;
  give_back();
  return false;
}

Connections::Connections(Services services) : services_(services) {}

Connections::~Connections() { reset(open_.size()); }

void Connections::set_snapshot(model::SnapshotPtr snapshot) {
  const bool first = snapshot_ == nullptr;
  snapshot_ = std::move(snapshot);
  bound_.clear();
  for (const model::ListenerPtr& listener : snapshot_->listeners)
    if (listener->bind_to_port) bound_.emplace(listener->name, listener.get());
  services_.upstreams.configuration_changed(*snapshot_);
  if (!first) return;
  std::vector<Connection*> held;
  for (const auto& [id, connection] : open_) held.push_back(connection.get());
  for (Connection* connection : held)
    connection->route();  // may end and leave open_, but lives until posted work
}

const model::Listener* Connections::bound_listener(const std::string& name) const {
  const auto found = bound_.find(name);
  return found == bound_.end() ? nullptr : found->second;
}

void Connections::accept(Accepted accepted) {
  auto made = std::make_unique<Connection>(*this, std::move(accepted));
  Connection& connection = *made;
  open_.emplace(connection.id(), std::move(made));
  connection.start();
}

void Connections::reset(size_t count) {
  std::vector<Connection*> oldest;
  for (const auto& [id, connection] : open_) {
    if (oldest.size() == count) break;
    oldest.push_back(connection.get());
  }
  for (Connection* connection : oldest) connection->reset();
}

void Connections::loop_found(const SocketAddress& destination) {
  const MonotonicTime now = services_.loop.now();
  if (loop_told_ && now - *loop_told_ < kLoopReminder) return;
  loop_told_ = now;
  spdlog::error(
      "what this agent sends to {} comes back to it: the rules do not exempt its user (sockmesh-init -u), or "
      "routes "
      "lead in a circle; such connections are closed",
      destination.to_string());
}

void Connections::closed(Connection& connection) {
  const auto found = open_.find(connection.id());
  if (found == open_.end()) return;
  ended_.push_back(std::move(found->second));
  open_.erase(found);
  if (ended_.size() > 1) return;  // its clearing is on the way already
  services_.loop.post([this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.lock()) ended_.clear();
  });
}

}  // namespace sockmesh::connection
