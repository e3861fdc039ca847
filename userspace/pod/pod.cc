#include "pod/pod.h"

#include "base/clock.h"

namespace sockmesh::pod {

namespace {

std::vector<uint16_t> captured(const config::ProxyIdentity& who) {
  if (who.role == config::Role::kGateway) return {};
  return {who.ports.outbound, who.ports.inbound};
}

// Where the search for a source port begins: not where the predecessor's did.
uint32_t beginning() { return static_cast<uint32_t>(monotonic_now().time_since_epoch().count()); }

}  // namespace

Pod::Pod(config::ProxyIdentity who, net::NetworkNamespace where)
    : identity(std::move(who)),
      network(std::move(where)),
      capture_ports(captured(identity)),
      source_ports(beginning()) {}

model::SnapshotPtr Pod::snapshot() const {
  const Lock lock(mutex_);
  return snapshot_;
}

void Pod::set_snapshot(model::SnapshotPtr snapshot) {
  const Lock lock(mutex_);
  snapshot_ = std::move(snapshot);
}

}  // namespace sockmesh::pod
