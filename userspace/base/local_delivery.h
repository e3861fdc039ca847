// Where the proxy dials from towards the applications of its own pod: 127.0.0.6, and ::6 for IPv6, as in
// Istio. By this address the pod's rules know its connections and let them pass. IPv4 has the address for
// free, ::6 is put on lo by sockmesh-init. Pure.
#pragma once

#include "base/address.h"

namespace sockmesh {

inline IpAddress local_delivery_address(bool v6) {
  return v6 ? IpAddress::parse("::6").value() : IpAddress::v4(0x7f000006);
}

}  // namespace sockmesh
