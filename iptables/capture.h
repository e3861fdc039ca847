// The interception rules of one pod, as Istio creates them (tools/istio-iptables/pkg/capture): a pure
// function from options and host facts to a Plan. Rule order and text follow Istio exactly; README.md says
// why each rule is there.
#pragma once

#include "iptables/host.h"
#include "iptables/options.h"
#include "iptables/rules.h"

namespace sockmesh::iptables {

inline constexpr uint32_t kDefaultProxyUid = 1337;
inline constexpr uint16_t kDnsPort = 53;
inline constexpr uint16_t kAgentDnsPort = 15053;
inline constexpr uint32_t kOutboundMark =
    1338;  // on what the proxy sends to its own pod, TPROXY mode; fixed in Istio
inline constexpr uint16_t kAgentZone = 1;        // conntrack zone: agent <-> real resolver
inline constexpr uint16_t kApplicationZone = 2;  // conntrack zone: application <-> agent

struct Capture {
  Plan plan;
  std::vector<std::string> warnings;
};

// Fails only if no local address decides about IPv6.
Result<Capture> make_capture(const Options& options, const HostFacts& facts);

// The uids and gids the plan treats as the proxy's own.
std::vector<uint32_t> proxy_uids(const Options& options, const HostFacts& facts);
std::vector<uint32_t> proxy_gids(const Options& options, const HostFacts& facts);

}  // namespace sockmesh::iptables
