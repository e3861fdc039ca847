#include "server/pod_addresses.h"

#include <ifaddrs.h>
#include <net/if.h>

#include <algorithm>
#include <memory>

namespace sockmesh::server {

Result<std::vector<FoundAddress>> find_addresses() {
  ifaddrs* raw = nullptr;
  if (getifaddrs(&raw) != 0) return fail(os_error("reading interface addresses"));
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> list(raw, freeifaddrs);
  std::vector<FoundAddress> found;
  for (const ifaddrs* entry = list.get(); entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const bool six = entry->ifa_addr->sa_family == AF_INET6;
    if (!six && entry->ifa_addr->sa_family != AF_INET) continue;
    const auto address =
        SocketAddress::from(entry->ifa_addr, six ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
    if (address)
      found.push_back({entry->ifa_name, if_nametoindex(entry->ifa_name), entry->ifa_flags, address->ip});
  }
  return found;
}

std::vector<FoundAddress> reachable_addresses(std::vector<FoundAddress> found) {
  // The kernel lists one family after the other; the first address of the first interface comes first.
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.index < b.index; });
  std::vector<FoundAddress> reachable;
  for (FoundAddress& one : found) {
    if ((one.flags & IFF_UP) == 0 || (one.flags & IFF_LOOPBACK) != 0) continue;
    if (one.ip.is_any() || one.ip.is_loopback() || one.ip.is_link_local()) continue;
    if (std::any_of(reachable.begin(), reachable.end(), [&](const auto& seen) { return seen.ip == one.ip; }))
      continue;
    if (reachable.size() == kMaxInterfaceAddresses) break;
    reachable.push_back(std::move(one));
  }
  return reachable;
}

Options with_interface_addresses(const Options& options, const std::vector<FoundAddress>& addresses) {
  Options all = options;
  std::vector<IpAddress>& ips = all.identity.ips;
  if (ips.empty() || options.ips_from == "--ip") return all;
  for (const FoundAddress& one : addresses) {
    if (std::find(ips.begin(), ips.end(), one.ip) != ips.end()) continue;
    ips.push_back(one.ip);
    all.interface_of[one.ip] = one.interface;
  }
  return all;
}

std::string origin_of(const IpAddress& ip, const Options& options) {
  const auto interface = options.interface_of.find(ip);
  if (interface != options.interface_of.end()) return "interface " + interface->second;
  const auto& said = options.identity.ips;
  return std::find(said.begin(), said.end(), ip) != said.end() ? options.ips_from : "Pod";
}

}  // namespace sockmesh::server
