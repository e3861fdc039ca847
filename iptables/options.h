// Options of sockmesh-init: the flags and environment of `istio-iptables` (Istio's names, short forms,
// defaults and precedence: environment first, an explicit flag wins), plus what sockmesh adds. Every value is
// validated here, so that nothing a pod annotation says can become an option of iptables. Plain values, any
// thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "iptables/rules.h"

namespace sockmesh::iptables {

// "*" or a list.
template <typename T>
struct Selection {
  bool all = false;
  std::vector<T> list;
  bool empty() const { return !all && list.empty(); }
};

enum class BinaryChoice : uint8_t { kAutomatic, kLegacy, kNft };

struct Options {
  uint16_t proxy_port = 15001;
  uint16_t inbound_port = 15006;
  uint16_t tunnel_port = 15008;
  std::vector<uint32_t> proxy_uids;  // empty: the uid of envoy_user, or 1337
  std::vector<uint32_t> proxy_gids;  // empty: the same numbers as proxy_uids
  std::string envoy_user = "istio-proxy";
  std::optional<PacketMark> direct_mark;  // absent: the rules are Istio's
  bool tproxy = false;
  uint32_t tproxy_mark = 1337;
  uint32_t tproxy_table = 133;

  Selection<uint16_t> inbound_ports;
  std::vector<uint16_t> inbound_ports_exclude;  // looked at only if inbound_ports is "*"
  std::vector<std::string> exclude_interfaces;
  std::vector<std::string> virtual_interfaces;

  Selection<Cidr> outbound_cidrs;
  std::vector<Cidr> outbound_cidrs_exclude;
  std::vector<uint16_t> outbound_ports;
  std::vector<uint16_t> outbound_ports_exclude;
  Selection<std::string> owner_groups{.all = true, .list = {}};
  std::vector<std::string> owner_groups_exclude;  // looked at only if owner_groups is "*"
  Cidr loopback_cidr{IpAddress::v4(0x7f000001), 32};

  bool redirect_dns = false;
  bool capture_all_dns = false;
  bool dns_served = false;  // somebody answers on port 15053 of the pod, see settle_dns_capture()
  bool drop_invalid = false;
  bool dual_stack = false;

  bool dry_run = false;
  std::string dry_run_file;  // empty: none
  bool skip_rule_apply = false;
  bool run_validation = false;
  uint16_t probe_port = 15002;
  std::chrono::milliseconds probe_timeout{5000};
  bool reconcile = false;
  bool cleanup_only = false;
  bool force_apply = false;
  bool native_nftables = false;
  BinaryChoice binary = BinaryChoice::kAutomatic;
  std::string network_namespace;  // path; empty: the current one
  bool cni_mode = false;

  std::string direct_pins;  // of the agent's lane 3, removed with cleanup_only; empty: none

  std::vector<IpAddress> host_ips;  // stands for the interface addresses; empty: ask the kernel
  std::string resolv_conf = "/etc/resolv.conf";
};

enum class Command : uint8_t { kApply, kExplain, kCheck, kTrace, kHelp };

// What `trace` asks about.
struct TraceRequest {
  IpAddress source, destination;
  uint16_t port = 0;
  std::optional<uint32_t> uid, gid;  // of the process that connects; 0 where only one is given
  std::optional<uint32_t> mark;      // of its socket; 0 where it is not given
  bool udp = false;
  std::string interface;  // of arrival or departure; empty: lo or eth0, by the addresses
};

struct CommandLine {
  Command command = Command::kApply;
  Options options;
  TraceRequest trace;                 // command == trace
  std::vector<std::string> warnings;  // unknown flags and values that were ignored
  std::string redirect_dns_by;        // what set options.redirect_dns: "--redirect-dns", "environment NAME"
};

// How the environment is asked; a variable that is set but empty is not nothing.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment process_environment();

// `args` without the program's name. A first word "istio-iptables" is skipped: the injected init container's
// arguments start with it. Unknown flags are warnings, as with Istio's root command, and take the following
// word with them unless it starts with a dash.
Result<CommandLine> parse_command_line(const std::vector<std::string>& args, const Environment& environment);

// DNS that is sent to a port where nobody answers leaves the pod without names, and sockmesh-agent has no DNS
// server. So capturing it is an error unless --dns-served says that somebody else answers there.
// ISTIO_META_DNS_CAPTURE is another matter: it reaches every pod of a mesh that set it for Istio's agent, and
// an error would keep them all from starting. It is passed over with a warning, and names resolve as without
// it. Removing (--cleanup-only) is always allowed. Pure.
Result<void> settle_dns_capture(CommandLine& line);

// The text of --help.
std::string usage();

}  // namespace sockmesh::iptables
