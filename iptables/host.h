// HostFacts: what the rules depend on beside the options: this network namespace's addresses, the DNS
// servers, the proxy user's uid, group numbers. Gathered at the edge, so that the rules themselves are a pure
// function and a dry run can be given the facts of another machine.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "iptables/options.h"

namespace sockmesh::iptables {

struct HostFacts {
  std::vector<IpAddress> addresses;  // in the kernel's order, loopback and link-local included
  std::vector<IpAddress> dns_servers;
  std::optional<uint32_t> envoy_user_uid;
  std::map<std::string, uint32_t> group_ids;  // of the group names in the options that exist here
};

// Reads what `options` needs: --host-ip instead of the interfaces, --resolv-conf only if DNS capture wants it
// (as Istio, so that an unreadable file is no error otherwise). Addresses are the calling thread's network
// namespace's.
Result<HostFacts> gather_host_facts(const Options& options);

// The `nameserver` lines of a resolv.conf. Comments start a line with '#' or ';'. What is no address is
// skipped, a zone ("fe80::1%eth0") is cut off: packets do not carry it. Pure.
std::vector<IpAddress> parse_resolv_conf(std::string_view text);

// The pod's address and whether IPv6 rules are made. Loopback and link-local addresses do not count; the
// first other address decides, or, in dual stack, any IPv6 one. Pure.
struct HostAddress {
  IpAddress address;
  bool ipv6 = false;
};
Result<HostAddress> choose_host_address(const std::vector<IpAddress>& addresses, bool dual_stack);

}  // namespace sockmesh::iptables
