// The pod's own addresses. Istio's injector says one (INSTANCE_IP); the others, above all the IPv6 address of
// a dual-stack pod, are found on the pod's interfaces, as istio-agent does (pilot/pkg/util/network). Without
// them IPv6 would be taken for a family that this pod does not have. Nothing is waited for: an address that
// is still tentative is listed already, and one that comes later still is no reason not to deliver
// (upstream/dial.cc). find_addresses() asks the kernel, the rest is pure.
#pragma once

#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "server/options.h"

namespace sockmesh::server {

// As the kernel lists it.
struct FoundAddress {
  std::string interface;
  unsigned index = 0;  // of the interface
  unsigned flags = 0;  // of the interface: IFF_UP, IFF_LOOPBACK, ...
  IpAddress ip;
};

// More than a pod has; the rest of a longer list is left out.
inline constexpr size_t kMaxInterfaceAddresses = 64;

// Of all interfaces of the caller's network namespace.
Result<std::vector<FoundAddress>> find_addresses();

// Those that others can reach: of interfaces that are up and not loopback, neither link-local nor
// unspecified, by interface, each once.
std::vector<FoundAddress> reachable_addresses(std::vector<FoundAddress> found);

// Adds those that are new behind what the environment says. --ip says all of them, and where nothing is said
// the Pod object has them: then nothing is added.
Options with_interface_addresses(const Options& options, const std::vector<FoundAddress>& addresses);

// Where the agent learned of an address: "--ip", "INSTANCE_IP", "interface eth0", or "Pod".
std::string origin_of(const IpAddress& ip, const Options& options);

}  // namespace sockmesh::server
