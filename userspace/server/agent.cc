#include "server/agent.h"

#include "interception/listening_socket.h"

namespace sockmesh::server {

size_t Agent::active() const {
  size_t sum = 0;
  for (const auto& worker : workers) sum += worker->active();
  return sum;
}

// For every worker or for none, so that a port is either fully served or said to be missing.
Result<void> Agent::open_port(const Bind& bind) {
  using interception::PortGroup;
  std::erase_if(leased_, [](const auto& one) { return one.second.expired(); });
  Worker::Lease lease = leased_[bind.address.port].lock();
  PortGroup group = lease ? PortGroup::kMember : PortGroup::kFirst;
  if (!lease) lease = std::make_shared<int>();
  std::vector<Fd> sockets;
  for (size_t i = 0; i < workers.size(); ++i) {
    SOCKMESH_TRY(socket, interception::listen_on(bind.address, {.group = group}));
    sockets.push_back(std::move(socket));
    group = PortGroup::kMember;
  }
  leased_[bind.address.port] = lease;
  for (size_t i = 0; i < workers.size(); ++i)
    workers[i]->listen(std::move(sockets[i]), {bind.direction, bind.address.port, bind.listener}, lease);
  return {};
}

BoundPorts::Effects Agent::port_effects() {
  return {[this](const Bind& bind) { return open_port(bind); },
          [this](const Bind& bind) {
            for (const auto& worker : workers) worker->close_listener(bind);
          }};
}

void Agent::stop_accepting(std::optional<model::Direction> direction) {
  ports->stop(direction);
  for (const auto& worker : workers) worker->close_listeners(direction);
  if (!direction) listening.reset();
}

}  // namespace sockmesh::server
