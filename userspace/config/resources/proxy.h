// Which proxy it is: what an agent is told of itself at its start. Plain value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "config/resources/resources.h"
#include "model/ports.h"

namespace sockmesh::config {

enum class Role : uint8_t { kSidecar, kGateway };
inline constexpr Role kRoles[] = {Role::kSidecar, Role::kGateway};
constexpr const char* to_string(Role role) { return role == Role::kGateway ? "gateway" : "sidecar"; }
constexpr std::optional<Role> parse_role(std::string_view text) {
  for (const Role role : kRoles)
    if (text == to_string(role)) return role;
  return std::nullopt;
}

struct ProxyIdentity {
  Role role = Role::kSidecar;
  std::string pod, ns;         // POD_NAME, POD_NAMESPACE
  std::vector<IpAddress> ips;  // INSTANCE_IP(S); empty: from the Pod object
  Labels labels;               // used only when no Pod object is known
  std::string node, cluster_id = "Kubernetes";
  bool tproxy = false;  // interception mode
  model::Ports ports;
};

}  // namespace sockmesh::config
