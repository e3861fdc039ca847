#include "server/capture_sockets.h"

#include "net/listening_socket.h"

namespace sockmesh::server {

namespace {

Result<std::vector<CaptureSocket>> bind_of_worker(const pod::PodPtr& pod, Interception interception,
                                                  bool ipv6, net::PortGroup group) {
  std::vector<CaptureSocket> sockets;
  const auto bind = [&](model::Direction direction, uint16_t port, bool transparent) -> Result<void> {
    for (const bool six : {false, true}) {
      if (six && !ipv6) continue;
      net::ListenOptions listen;
      listen.transparent = transparent;
      listen.group = group;
      SOCKMESH_TRY(socket, net::listen_on({IpAddress::any(six), port}, listen, pod->network));
      sockets.push_back({std::move(socket), {pod, direction, port, ""}});
    }
    return {};
  };
  // TPROXY is Istio's for inbound only: outbound is redirected in either mode (docs/istio.md#tproxy).
  const model::Ports& ports = pod->identity.ports;
  SOCKMESH_CHECK(bind(model::Direction::kOutbound, ports.outbound, false));
  SOCKMESH_CHECK(bind(model::Direction::kInbound, ports.inbound, interception == Interception::kTproxy));
  return sockets;
}

}  // namespace

Result<std::vector<std::vector<CaptureSocket>>> bind_capture_sockets(const pod::PodPtr& pod,
                                                                     Interception interception,
                                                                     unsigned workers) {
  std::vector<std::vector<CaptureSocket>> all(workers);
  if (pod->identity.role == config::Role::kGateway || interception == Interception::kNone) return all;
  const bool ipv6 = net::ipv6_available(pod->network);
  for (auto& sockets : all) {
    const auto group = &sockets == &all.front() ? net::PortGroup::kFirst : net::PortGroup::kMember;
    SOCKMESH_TRY(bound, bind_of_worker(pod, interception, ipv6, group));
    sockets = std::move(bound);
  }
  return all;
}

}  // namespace sockmesh::server
