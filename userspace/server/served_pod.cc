#include "server/served_pod.h"

#include "net/listening_socket.h"

namespace sockmesh::server {

ServedPod::ServedPod(event::Loop& loop, pod::PodPtr pod, std::vector<PodTraffic*> shares, Lease listening)
    : pod_(std::move(pod)),
      shares_(std::move(shares)),
      listening_(std::move(listening)),
      ports_(loop, port_effects()),
      publication_(*pod_) {}

Result<std::unique_ptr<ServedPod>> ServedPod::create(event::Loop& loop, pod::PodPtr pod,
                                                     std::vector<PodTraffic*> shares, Lease listening,
                                                     upstream::ResolverOptions names,
                                                     Publication::Observer first) {
  std::unique_ptr<ServedPod> served(
      new ServedPod(loop, std::move(pod), std::move(shares), std::move(listening)));
  names.network = served->pod_->network;
  SOCKMESH_TRY(resolver, upstream::Resolver::create(loop, served->pod_->names, names, [self = served.get()] {
                 for (PodTraffic* share : self->shares_) share->names_changed();
                 if (self->direct_) self->direct_->names_changed();
               }));
  served->resolver_ = std::move(resolver);
  served->publication_.add(std::move(first));
  served->act_on_publication();
  return served;
}

// Workers route before ports are opened that they serve; what nobody routes to any more is forgotten after
// that.
void ServedPod::act_on_publication() {
  publication_.add([this](const model::SnapshotPtr& now) {
    for (PodTraffic* share : shares_) share->publish(now);
    if (direct_) direct_->publish(now);
  });
  publication_.add([this](const model::SnapshotPtr& now) { ports_.want(wanted_binds(*now)); });
  publication_.add([this](const model::SnapshotPtr& now) { pod_->clusters.keep_only(*now); });
  publication_.add([this](const model::SnapshotPtr& now) {
    resolver_->want(upstream::names_of(*now), upstream::families_of(*now));
  });
}

void ServedPod::listen(std::vector<std::vector<CaptureSocket>> capture) {
  for (size_t i = 0; i < shares_.size(); ++i)
    for (CaptureSocket& one : capture[i])
      shares_[i]->listen(std::move(one.socket), std::move(one.entry), listening_);
}

// For every worker or for none, so that a port is either fully served or said to be missing.
Result<void> ServedPod::open_port(const Bind& bind) {
  using net::PortGroup;
  std::erase_if(leased_, [](const auto& one) { return one.second.expired(); });
  Lease lease = leased_[bind.address.port].lock();
  PortGroup group = lease ? PortGroup::kMember : PortGroup::kFirst;
  if (!lease) lease = std::make_shared<int>();
  std::vector<Fd> sockets;
  for (size_t i = 0; i < shares_.size(); ++i) {
    SOCKMESH_TRY(socket, net::listen_on(bind.address, {.group = group}, pod_->network));
    sockets.push_back(std::move(socket));
    group = PortGroup::kMember;
  }
  leased_[bind.address.port] = lease;
  for (size_t i = 0; i < shares_.size(); ++i)
    shares_[i]->listen(std::move(sockets[i]), {pod_, bind.direction, bind.address.port, bind.listener},
                       lease);
  return {};
}

BoundPorts::Effects ServedPod::port_effects() {
  return {[this](const Bind& bind) { return open_port(bind); },
          [this](const Bind& bind) {
            for (PodTraffic* share : shares_) share->close_listener(bind);
          }};
}

void ServedPod::stop_accepting(std::optional<model::Direction> direction) {
  ports_.stop(direction);
  for (PodTraffic* share : shares_) share->close_listeners(direction);
  if (!direction) listening_.reset();
}

size_t ServedPod::active() const {
  size_t sum = direct_ ? direct_->active() : 0;
  for (const PodTraffic* share : shares_) sum += share->active();
  return sum;
}

}  // namespace sockmesh::server
