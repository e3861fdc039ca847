// The functions below stand in the order in which Istio creates the rules (one is ours), and the order is the
// meaning: in ISTIO_OUTPUT the first rule that matches decides, and each early one is an exemption from a
// later one. Numbers in comments are those of README.md.
#include "iptables/capture.h"

#include <algorithm>

#include "base/local_delivery.h"

namespace sockmesh::iptables {

namespace {

using match::ConntrackState;

Match in(std::string interface) { return match::InInterface{std::move(interface)}; }
Match out(std::string interface) { return match::OutInterface{std::move(interface)}; }
Match tcp() { return match::Protocol{Transport::kTcp}; }
Match udp() { return match::Protocol{Transport::kUdp}; }
Match from(Block block) { return match::Source{std::move(block)}; }
Match to(Block block) { return match::Destination{std::move(block), false}; }
Match not_to(Block block) { return match::Destination{std::move(block), true}; }
Match sport(uint16_t port) { return match::SourcePort{port}; }
Match dport(uint16_t port) { return match::DestinationPort{port, false}; }
Match not_dport(uint16_t port) { return match::DestinationPort{port, true}; }
Match mark(uint32_t value) { return match::Mark{value, false}; }
Match not_mark(uint32_t value) { return match::Mark{value, true}; }

constexpr target::Return kReturn{};
target::Jump jump(Chain chain) { return {chain}; }

// A proxy is known by uid or by gid; both make the same rules.
struct Owner {
  bool group;
  uint32_t id;
  Match is() const { return make(false); }
  Match is_not() const { return make(true); }
  Match make(bool negate) const {
    if (group) return match::Gid{std::to_string(id), negate};
    return match::Uid{id, negate};
  }
};

Block one(const Cidr& cidr) {
  return cidr.family() == Family::kV4 ? Block{cidr, std::nullopt} : Block{std::nullopt, cidr};
}

Families only(Family family) { return {family == Family::kV4, family == Family::kV6}; }

class Builder {
 public:
  Builder(const Options& options, const HostFacts& facts)
      : options_(options),
        loopback_{options.loopback_cidr, Cidr::host(IpAddress::loopback(true))},
        local_delivery_{Cidr::host(local_delivery_address(false)), Cidr::host(local_delivery_address(true))} {
    for (const uint32_t uid : proxy_uids(options, facts)) owners_.push_back({false, uid});
    for (const uint32_t gid : proxy_gids(options, facts)) owners_.push_back({true, gid});
    for (const IpAddress& server : facts.dns_servers) {
      (server.is_v6() ? dns_v6_ : dns_v4_).push_back(Cidr::host(server));
    }
    dns_ = options.redirect_dns && (options.capture_all_dns || !facts.dns_servers.empty());
    if (options.redirect_dns && !dns_)
      warnings_.push_back(
          "--redirect-dns: no DNS server found and --capture-all-dns is off; DNS is not captured");
  }

  Capture build(bool ipv6) {
    exclude_interfaces();
    virtual_interfaces();
    drop_invalid();
    redirect_chains();
    inbound();
    append(Table::kNat, Chain::kOutput, {}, jump(Chain::kIstioOutput),
           "Everything made in this pod is looked at; no protocol match, because UDP DNS passes here too.",
           "always");
    direct_connections();
    exclude_outbound_ports();
    append(Table::kNat, Chain::kIstioOutput, {out("lo"), from(local_delivery_)}, kReturn,
           "The proxy delivers inbound connections to the application from this address. Sending them back "
           "to the "
           "inbound port would loop for ever, and nothing but the source address tells them apart.",
           "always");
    for (const Owner& owner : owners_) proxy_owner(owner);
    owner_groups();
    if (dns_) {
      dns_redirects();
      dns_zones();
    }
    append(Table::kNat, Chain::kIstioOutput, {to(loopback_)}, kReturn,
           "What is addressed to localhost stays with localhost.",
           fmt::format("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR={}", options_.loopback_cidr.to_string()));
    exclude_cidrs();
    include_outbound_ports();
    include_cidrs();
    if (options_.tproxy) tproxy_extras();
    return {.plan = {.rules = std::move(rules_), .ipv6 = ipv6, .routes = routes(ipv6)},
            .warnings = std::move(warnings_)};
  }

 private:
  void append(Table table, Chain chain, std::vector<Match> matches, Target target, std::string reason,
              std::string cause, Families families = {}) {
    rules_.push_back({table, chain, std::nullopt, std::move(matches), target, families, std::move(reason),
                      std::move(cause)});
  }
  void insert(int position, Table table, Chain chain, std::vector<Match> matches, Target target,
              std::string reason, std::string cause, Families families = {}) {
    append(table, chain, std::move(matches), target, std::move(reason), std::move(cause), families);
    rules_.back().insert = position;
  }

  std::string mode_flag() const { return fmt::format("-m {}", options_.tproxy ? "TPROXY" : "REDIRECT"); }

  // 1
  void exclude_interfaces() {
    for (const Table table : {Table::kNat, Table::kMangle}) {
      if (table == Table::kMangle && !options_.tproxy) continue;
      for (const std::string& nic : options_.exclude_interfaces) {
        const std::string cause = "-c " + nic;
        append(table, Chain::kPrerouting, {in(nic)}, kReturn, "This interface is not captured inbound.",
               cause);
        append(table, Chain::kOutput, {out(nic)}, kReturn, "This interface is not captured outbound.", cause);
      }
    }
  }

  // 2
  void virtual_interfaces() {
    for (const std::string& nic : options_.virtual_interfaces) {
      insert(1, Table::kNat, Chain::kPrerouting, {in(nic)}, kReturn,
             "What a virtual machine behind this interface sends is not inbound traffic of the pod.",
             "-k " + nic);
    }
  }

  // 3
  void drop_invalid() {
    if (!options_.drop_invalid) return;
    const std::string cause = "--drop-invalid";
    append(Table::kMangle, Chain::kPrerouting, {ConntrackState{ConntrackState::kInvalid}},
           jump(Chain::kIstioDrop),
           "A packet conntrack cannot place is not translated back and would make the kernel reset the "
           "connection.",
           cause);
    append(Table::kMangle, Chain::kIstioDrop, {}, target::Drop{}, "Dropped, so that the peer sends it again.",
           cause);
  }

  // 4, 5, 6
  void redirect_chains() {
    append(Table::kNat, Chain::kIstioInbound, {tcp(), dport(options_.tunnel_port)}, kReturn,
           "The HBONE tunnel port is served by the proxy directly.",
           fmt::format("-e {}", options_.tunnel_port));
    append(Table::kNat, Chain::kIstioRedirect, {tcp()}, target::Redirect{options_.proxy_port},
           "To the proxy's outbound port. Only TCP: other protocols fall through unharmed.",
           fmt::format("-p {}", options_.proxy_port));
    append(Table::kNat, Chain::kIstioInRedirect, {tcp()}, target::Redirect{options_.inbound_port},
           "To the proxy's inbound port.", fmt::format("-z {}", options_.inbound_port));
  }

  // 7
  void inbound() {
    const auto& ports = options_.inbound_ports;
    if (ports.empty()) return;
    const Table table = options_.tproxy ? Table::kMangle : Table::kNat;
    if (options_.tproxy) divert_and_tproxy_chains();
    append(table, Chain::kPrerouting, {tcp()}, jump(Chain::kIstioInbound),
           "TCP arriving at the pod is looked at.",
           ports.all ? "-b '*'" : fmt::format("-b {}", fmt::join(ports.list, ",")));
    if (!ports.all) {
      for (const uint16_t port : ports.list) inbound_port(port);
      return;
    }
    for (const uint16_t port : options_.inbound_ports_exclude) {
      append(table, Chain::kIstioInbound, {tcp(), dport(port)}, kReturn,
             "This port is served without the proxy.", fmt::format("-d {}", port));
    }
    inbound_port(std::nullopt);
  }

  void divert_and_tproxy_chains() {
    append(Table::kMangle, Chain::kIstioDivert, {}, target::SetMark{options_.tproxy_mark},
           "The mark picks the routing table that delivers the packet to this machine, whatever its address.",
           fmt::format("-t {}", options_.tproxy_mark));
    append(Table::kMangle, Chain::kIstioDivert, {}, target::Accept{},
           "Marked packets are done with this table.", mode_flag());
    append(Table::kMangle, Chain::kIstioTproxy, {not_to(loopback_), tcp()},
           target::TransparentProxy{options_.inbound_port, options_.tproxy_mark},
           "A new connection is handed to the proxy's socket with both its addresses unchanged.",
           fmt::format("-z {}", options_.inbound_port));
  }

  void inbound_port(std::optional<uint16_t> port) {
    std::vector<Match> which = {tcp()};
    if (port) which.push_back(dport(*port));
    const std::string cause = port ? fmt::format("-b {}", *port) : "-b '*'";
    if (!options_.tproxy) {
      append(
          Table::kNat, Chain::kIstioInbound, which, jump(Chain::kIstioInRedirect),
          port ? "This port is served through the proxy." : "Every other port is served through the proxy.",
          cause);
      return;
    }
    // 20: not Istio's, see docs/decisions/017-syn-before-divert.md.
    std::vector<Match> syn = which;
    syn.emplace_back(match::Syn{});
    append(Table::kMangle, Chain::kIstioInbound, syn, jump(Chain::kIstioTproxy),
           "A SYN goes to the proxy even if conntrack takes it for part of an earlier connection: the next "
           "rule would leave it to the application.",
           cause);
    std::vector<Match> established = which;
    established.push_back(ConntrackState{ConntrackState::kEstablishedOrRelated});
    append(Table::kMangle, Chain::kIstioInbound, established, jump(Chain::kIstioDivert),
           "Packets of a known connection need only be delivered to the proxy's socket.", cause);
    append(Table::kMangle, Chain::kIstioInbound, which, jump(Chain::kIstioTproxy),
           "What belongs to no known connection goes to the proxy, too.", cause);
  }

  // 21: not Istio's.
  void direct_connections() {
    if (!options_.direct_mark) return;
    append(Table::kNat, Chain::kIstioOutput, {match::MarkBits{*options_.direct_mark}}, kReturn,
           "The application's own connection to an endpoint, which the agent's BPF program chose and marked; "
           "before all else, since the choice was made.",
           "--direct-mark " + options_.direct_mark->to_string());
  }

  // 9
  void exclude_outbound_ports() {
    for (const uint16_t port : options_.outbound_ports_exclude) {
      for (const Match& protocol : {tcp(), udp()}) {
        append(
            Table::kNat, Chain::kIstioOutput, {protocol, dport(port)}, kReturn,
            "This port is not captured; first, so that it also wins over the proxy's calls to its own pod.",
            fmt::format("-o {}", port));
      }
    }
  }

  // 11 (uids) and 12 (gids)
  void proxy_owner(const Owner& owner) {
    const std::string cause = fmt::format("-{} {}", owner.group ? 'g' : 'u', owner.id);
    std::vector<Match> self = {out("lo"), not_to(loopback_), tcp()};
    if (dns_ && !owner.group)
      self.emplace_back(match::NoneOfDestinationPorts{{kDnsPort, options_.tunnel_port}});
    else
      self.push_back(not_dport(options_.tunnel_port));
    self.push_back(owner.is());
    append(Table::kNat, Chain::kIstioOutput, self, jump(Chain::kIstioInRedirect),
           "The proxy's load balancer picked this very pod: the call must pass the inbound listener like one "
           "from "
           "outside.",
           cause);

    const bool loopback_wanted =
        std::any_of(options_.outbound_cidrs.list.begin(), options_.outbound_cidrs.list.end(),
                    [](const Cidr& cidr) { return cidr.address.is_loopback(); });
    if (!loopback_wanted) {
      std::vector<Match> application = {out("lo")};
      if (dns_) {
        application.push_back(tcp());
        application.push_back(not_dport(kDnsPort));
      }
      application.push_back(owner.is_not());
      append(Table::kNat, Chain::kIstioOutput, application, kReturn,
             "An application that talks to its own pod does so directly.", cause);
    }
    append(Table::kNat, Chain::kIstioOutput, {owner.is()}, kReturn,
           "What the proxy itself sends is never captured again: the loop breaker, for every protocol.",
           cause);
  }

  // 13
  void owner_groups() {
    if (options_.owner_groups.all) {
      for (const std::string& group : options_.owner_groups_exclude) {
        append(Table::kNat, Chain::kIstioOutput, {match::Gid{group, false}}, kReturn,
               "Processes of this group are not captured.", "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE=" + group);
      }
      return;
    }
    std::vector<Match> none_of;
    for (const std::string& group : options_.owner_groups.list) none_of.emplace_back(match::Gid{group, true});
    append(Table::kNat, Chain::kIstioOutput, none_of, kReturn,
           "Only processes of the listed groups are captured; these are none of them.",
           fmt::format("ISTIO_OUTBOUND_OWNER_GROUPS={}", fmt::join(options_.owner_groups.list, ",")));
  }

  const std::vector<Cidr>& servers(Family family) const { return family == Family::kV4 ? dns_v4_ : dns_v6_; }

  // 14, the redirects
  void dns_redirects() {
    const std::string cause = options_.capture_all_dns ? "--capture-all-dns" : "--redirect-dns";
    append(Table::kRaw, Chain::kOutput, {}, jump(Chain::kIstioOutputDns),
           "DNS packets get a conntrack zone before conntrack sees them.", "--redirect-dns");
    for (const Family family : {Family::kV4, Family::kV6}) {
      if (options_.capture_all_dns || !servers(family).empty()) {
        append(Table::kNat, Chain::kIstioOutput, {}, jump(Chain::kIstioOutputDns),
               "DNS is answered by the agent. After the owner filters, so that what they exempt is not "
               "captured here.",
               cause, only(family));
      }
    }
    for (const Match& protocol : {tcp(), udp()}) {
      if (options_.capture_all_dns) {
        append(Table::kNat, Chain::kIstioOutputDns, {protocol, dport(kDnsPort)},
               target::Redirect{kAgentDnsPort}, "Every DNS query goes to the agent.", cause);
        continue;
      }
      for (const Family family : {Family::kV4, Family::kV6}) {
        for (const Cidr& server : servers(family)) {
          append(Table::kNat, Chain::kIstioOutputDns, {protocol, dport(kDnsPort), to(one(server))},
                 target::Redirect{kAgentDnsPort},
                 "Queries to a server of resolv.conf go to the agent; only those, so that a local "
                 "forwarder's own "
                 "queries do not come back in a loop.",
                 cause, only(family));
        }
      }
    }
  }

  // 14, the conntrack zones
  void dns_zones() {
    const auto udp_zone = [&](Chain chain, std::vector<Match> which, uint16_t zone, std::string reason,
                              Families families = {}) {
      which.insert(which.begin(), udp());
      append(Table::kRaw, chain, std::move(which), target::ConntrackZone{zone}, std::move(reason),
             "--redirect-dns", families);
    };
    for (const Owner& owner : owners_) {
      udp_zone(Chain::kIstioOutputDns, {dport(kDnsPort), owner.is()}, kAgentZone,
               "The agent's query to the real resolver is tracked apart from the application's, which has "
               "the same "
               "addresses and ports once translated.");
      udp_zone(Chain::kIstioOutputDns, {sport(kAgentDnsPort), owner.is()}, kApplicationZone,
               "The agent's answer belongs to the application's query.");
    }
    constexpr std::string_view kJump = "Answers of resolvers get the zone of the agent's query.";
    constexpr std::string_view kQuery = "An application's query.";
    constexpr std::string_view kAnswer = "A resolver's answer to the agent.";
    if (options_.capture_all_dns) {
      append(Table::kRaw, Chain::kPrerouting, {}, jump(Chain::kIstioInbound), std::string(kJump),
             "--capture-all-dns");
      udp_zone(Chain::kIstioOutputDns, {dport(kDnsPort)}, kApplicationZone, std::string(kQuery));
      udp_zone(Chain::kIstioInbound, {sport(kDnsPort)}, kAgentZone, std::string(kAnswer));
      return;
    }
    for (const Family family : {Family::kV4, Family::kV6}) {
      if (servers(family).empty()) continue;
      append(Table::kRaw, Chain::kPrerouting, {}, jump(Chain::kIstioInbound), std::string(kJump),
             "--redirect-dns", only(family));
      for (const Cidr& server : servers(family)) {
        udp_zone(Chain::kIstioOutputDns, {dport(kDnsPort), to(one(server))}, kApplicationZone,
                 std::string(kQuery), only(family));
        udp_zone(Chain::kIstioInbound, {sport(kDnsPort), from(one(server))}, kAgentZone, std::string(kAnswer),
                 only(family));
      }
    }
  }

  // 16
  void exclude_cidrs() {
    for (const Cidr& cidr : options_.outbound_cidrs_exclude) {
      append(Table::kNat, Chain::kIstioOutput, {to(one(cidr))}, kReturn,
             "This block is not captured; before the includes, so that it wins.", "-x " + cidr.to_string(),
             only(cidr.family()));
    }
  }

  // 17
  void include_outbound_ports() {
    for (const uint16_t port : options_.outbound_ports) {
      append(Table::kNat, Chain::kIstioOutput, {tcp(), dport(port)}, jump(Chain::kIstioRedirect),
             "This port is captured whatever the address.", fmt::format("-q {}", port));
    }
  }

  // 18. Insertions at position 1 stand above the RETURN lines of 2; with two interfaces their order is
  // reversed.
  void include_cidrs() {
    constexpr std::string_view kVirtual =
        "What a virtual machine sends is captured as if the pod had sent it.";
    for (const Family family : {Family::kV4, Family::kV6}) {
      if (options_.outbound_cidrs.all) {
        append(Table::kNat, Chain::kIstioOutput, {}, jump(Chain::kIstioRedirect),
               "Everything that was not exempted above is captured.", "-i '*'", only(family));
        for (const std::string& nic : options_.virtual_interfaces) {
          insert(1, Table::kNat, Chain::kPrerouting, {in(nic)}, jump(Chain::kIstioRedirect),
                 std::string(kVirtual), "-k " + nic, only(family));
        }
        continue;
      }
      for (const Cidr& cidr : options_.outbound_cidrs.list) {
        if (cidr.family() != family) continue;
        for (const std::string& nic : options_.virtual_interfaces) {
          insert(1, Table::kNat, Chain::kPrerouting, {in(nic), to(one(cidr))}, jump(Chain::kIstioRedirect),
                 std::string(kVirtual), "-k " + nic, only(family));
        }
        append(Table::kNat, Chain::kIstioOutput, {to(one(cidr))}, jump(Chain::kIstioRedirect),
               "This block is captured.", "-i " + cidr.to_string(), only(family));
      }
    }
  }

  // 19
  void tproxy_extras() {
    const uint32_t proxy_mark = options_.tproxy_mark;
    const std::string cause = mode_flag();
    append(Table::kMangle, Chain::kPrerouting, {tcp(), mark(proxy_mark)}, target::SaveMark{},
           "The proxy marks its connection to the application; the mark is kept with the connection.", cause);
    append(Table::kMangle, Chain::kOutput, {tcp(), out("lo"), mark(proxy_mark)}, kReturn,
           "The proxy's marked packets to the application keep their mark.", cause);
    for (const Owner& owner : owners_) {
      append(Table::kMangle, Chain::kOutput, {not_to(loopback_), tcp(), out("lo"), owner.is()},
             target::SetMark{kOutboundMark},
             "The proxy calls its own pod: the mark lets the call through to the inbound listener.",
             fmt::format("-{} {}", owner.group ? 'g' : 'u', owner.id));
    }
    append(Table::kMangle, Chain::kOutput, {tcp(), match::ConnectionMark{proxy_mark}}, target::RestoreMark{},
           "The application's answers carry the mark of the proxy's connection, so that routing brings them "
           "back to "
           "the proxy although they are addressed to the client.",
           cause);
    insert(1, Table::kMangle, Chain::kIstioInbound, {tcp(), mark(proxy_mark)}, kReturn,
           "What the proxy sends to the application is not captured again.", cause);
    insert(2, Table::kMangle, Chain::kIstioInbound, {tcp(), from(local_delivery_), in("lo")}, kReturn,
           "Local delivery by the proxy or the agent is not captured again.", cause);
    insert(3, Table::kMangle, Chain::kIstioInbound, {tcp(), in("lo"), not_mark(kOutboundMark)}, kReturn,
           "An application that talks to its own pod does so directly.", cause);
  }

  RoutePlan routes(bool ipv6) const {
    RoutePlan plan{.loopback6 = ipv6, .tproxy = std::nullopt, .ipv6 = ipv6};
    if (options_.tproxy && !options_.inbound_ports.empty())
      plan.tproxy = {.mark = options_.tproxy_mark, .table = options_.tproxy_table};
    return plan;
  }

  const Options& options_;
  const Block loopback_;        // 127.0.0.1/32 or what was asked for; ::1/128
  const Block local_delivery_;  // 127.0.0.6/32; ::6/128
  std::vector<Owner> owners_;   // uids, then gids
  std::vector<Cidr> dns_v4_, dns_v6_;
  bool dns_ = false;
  std::vector<Rule> rules_;
  std::vector<std::string> warnings_;
};

}  // namespace

std::vector<uint32_t> proxy_uids(const Options& options, const HostFacts& facts) {
  if (!options.proxy_uids.empty()) return options.proxy_uids;
  return {facts.envoy_user_uid.value_or(kDefaultProxyUid)};
}

std::vector<uint32_t> proxy_gids(const Options& options, const HostFacts& facts) {
  return options.proxy_gids.empty() ? proxy_uids(options, facts) : options.proxy_gids;
}

Result<Capture> make_capture(const Options& options, const HostFacts& facts) {
  SOCKMESH_TRY(host, choose_host_address(facts.addresses, options.dual_stack));
  return Builder(options, facts).build(host.ipv6);
}

}  // namespace sockmesh::iptables
