#include "net/loop_guard.h"

#include <algorithm>

namespace sockmesh::net {

bool would_loop(const Captured& captured, const std::vector<uint16_t>& capture_ports) {
  const bool at_capture_port =
      std::find(capture_ports.begin(), capture_ports.end(), captured.destination.port) != capture_ports.end();
  return at_capture_port && (!captured.redirected || captured.destination.ip.is_loopback());
}

}  // namespace sockmesh::net
