// Ports: where the proxy itself listens. Istio's numbers (docs/istio.md#ports). Plain value.
#pragma once

#include <cstdint>

namespace sockmesh::model {

struct Ports {  // 0 where the kernel is to choose (tests)
  uint16_t outbound = 15001, inbound = 15006;
  uint16_t admin = 15000, status = 15020, readiness = 15021, metrics = 15090;
};
inline constexpr Ports kIstioPorts;

}  // namespace sockmesh::model
