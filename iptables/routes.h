// The address and the policy routes the rules rely on, by rtnetlink in the calling thread's network
// namespace:
//   ::6/128 on lo             the IPv6 twin of 127.0.0.6, which IPv4 has for free
//   ip rule fwmark M lookup R TPROXY: packets with the proxy's mark are looked up in a table
//   local default dev lo      ... that delivers them to this machine, whatever their address
// Everything added carries a protocol number of ours, so that a clean-up removes what we added and not what
// was there. On kernels before 5.18 addresses carry none; then ::6 stays, as it does with istio-init.
#pragma once

#include "iptables/rules.h"

namespace sockmesh::iptables {

inline constexpr uint8_t kRouteProtocol = 213;  // unassigned in /etc/iproute2/rt_protos

// What one add_routes() added, for taking it back.
struct AddedRoutes {
  std::vector<std::string> requests;
};

// Adds what `plan` wants and is not there yet. Already there is success. `added` is complete even after a
// failure.
Result<void> add_routes(const RoutePlan& plan, AddedRoutes& added);
void take_back(const AddedRoutes& added);

// Whether all that `plan` wants is there; the texts of what is missing, as ip(8) would say it.
Result<std::vector<std::string>> missing_routes(const RoutePlan& plan);

// Removes everything that carries our protocol number and is not wanted by `plan`.
Result<void> remove_other_routes(const RoutePlan& plan);

}  // namespace sockmesh::iptables
