#include "iptables/trace.h"

#include <algorithm>

#include "base/strings.h"
#include "iptables/render_iptables.h"

namespace sockmesh::iptables {

namespace {

// One packet on its way through the hooks.
class Walk {
 public:
  Walk(const Plan& plan, const Packet& packet, const std::map<std::string, uint32_t>& group_ids)
      : plan_(plan),
        packet_(packet),
        group_ids_(group_ids),
        family_(packet.source.is_v6() ? Family::kV6 : Family::kV4),
        in_(packet.made_here ? "" : packet.interface),
        out_(packet.made_here ? packet.interface : "") {}

  Trace run() {
    if (family_ == Family::kV6 && !plan_.ipv6) return {.no_rules = true};
    if (!packet_.made_here) {
      pass(Chain::kPrerouting, {Table::kRaw, Table::kMangle, Table::kNat});
      return std::move(trace_);
    }
    pass(Chain::kOutput, {Table::kRaw, Table::kMangle, Table::kNat});
    // Over lo it arrives again. Its translation is settled by then, so nat is not asked a second time.
    if (trace_.fate == Trace::Fate::kUntouched && out_ == "lo") {
      in_ = "lo";
      out_.clear();
      pass(Chain::kPrerouting, {Table::kRaw, Table::kMangle});
    }
    return std::move(trace_);
  }

 private:
  enum class Next : uint8_t {
    kRule,
    kCaller,
    kTable
  };  // go on with the next rule, the calling chain, the next table

  void pass(Chain hook, std::initializer_list<Table> tables) {
    for (const Table table : tables) {
      chain(table, hook);
      if (trace_.fate != Trace::Fate::kUntouched) return;
    }
  }

  Next chain(Table table, Chain name) {
    for (const Rule* rule : chain_rules(plan_, family_, table, name)) {
      const bool matches = std::all_of(rule->matches.begin(), rule->matches.end(),
                                       [&](const Match& match) { return holds(match); });
      if (!matches) continue;
      trace_.steps.push_back(rule);
      const Next next = act(*rule, table);
      if (next == Next::kTable) return Next::kTable;
      if (next == Next::kCaller) return Next::kRule;
    }
    return Next::kRule;
  }

  Next end(Trace::Fate fate, uint16_t port) {
    trace_.fate = fate;
    trace_.port = port;
    return Next::kTable;
  }

  Next act(const Rule& rule, Table table) {
    return std::visit(
        Overloaded{
            [](const target::Return&) { return Next::kCaller; },
            [](const target::Accept&) { return Next::kTable; },
            [&](const target::Drop&) { return end(Trace::Fate::kDropped, 0); },
            [&](const target::Jump& t) { return chain(table, t.chain); },
            [&](const target::Redirect& t) { return end(Trace::Fate::kRedirected, t.port); },
            [&](const target::TransparentProxy& t) { return end(Trace::Fate::kTransparent, t.port); },
            [&](const target::SetMark& t) {
              mark_ = t.mark;
              return Next::kRule;
            },
            // A first packet has no connection mark yet, and zones do not decide anything.
            [](const target::SaveMark&) { return Next::kRule; },
            [](const target::RestoreMark&) { return Next::kRule; },
            [](const target::ConntrackZone&) { return Next::kRule; },
        },
        rule.target);
  }

  // "veth+" is every interface whose name begins with veth.
  static bool interface_matches(std::string_view pattern, std::string_view name) {
    if (pattern.ends_with('+')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
    return pattern == name;
  }

  bool in_group(const std::string& group) const {
    if (const auto number = parse_number<uint32_t>(group)) return packet_.gid == *number;
    const auto known = group_ids_.find(group);
    return known != group_ids_.end() && packet_.gid == known->second;
  }

  bool holds(const Match& match) const {
    return std::visit(
        Overloaded{
            [&](const match::InInterface& m) { return interface_matches(m.name, in_); },
            [&](const match::OutInterface& m) { return interface_matches(m.name, out_); },
            [&](const match::Protocol& m) { return packet_.transport == m.transport; },
            [&](const match::Source& m) { return m.block.of(family_).contains(packet_.source); },
            [&](const match::Destination& m) {
              return m.block.of(family_).contains(packet_.destination) != m.negate;
            },
            [&](const match::SourcePort& m) { return packet_.source_port == m.port; },
            [&](const match::DestinationPort& m) { return (packet_.port == m.port) != m.negate; },
            [&](const match::NoneOfDestinationPorts& m) {
              return std::find(m.ports.begin(), m.ports.end(), packet_.port) == m.ports.end();
            },
            // Owner matches need a socket of this machine.
            [&](const match::Uid& m) { return packet_.made_here && (packet_.uid == m.uid) != m.negate; },
            [&](const match::Gid& m) { return packet_.made_here && in_group(m.group) != m.negate; },
            [](const match::ConntrackState&) { return false; },  // a first packet is NEW
            [](const match::Syn&) { return true; },              // and of TCP a SYN; Protocol says TCP
            [&](const match::Mark& m) { return (mark_ == m.mark) != m.negate; },
            [&](const match::MarkBits& m) { return m.mark.is_in(mark_); },
            [](const match::ConnectionMark& m) { return m.mark == 0; },
        },
        match);
  }

  const Plan& plan_;
  const Packet& packet_;
  const std::map<std::string, uint32_t>& group_ids_;
  const Family family_;
  std::string in_, out_;
  uint32_t mark_ = packet_.mark;
  Trace trace_;
};

std::string endpoint(const IpAddress& ip, uint16_t port) { return SocketAddress{ip, port}.to_string(); }

}  // namespace

Packet make_packet(const TraceRequest& request, const std::vector<IpAddress>& local_addresses) {
  const auto local = [&](const IpAddress& ip) {
    return ip.is_loopback() ||
           std::find(local_addresses.begin(), local_addresses.end(), ip) != local_addresses.end();
  };
  Packet packet{.source = request.source, .destination = request.destination, .port = request.port};
  packet.transport = request.udp ? Transport::kUdp : Transport::kTcp;
  packet.uid = request.uid.value_or(0);
  packet.gid = request.gid.value_or(0);
  packet.made_here = local(request.source) || request.uid || request.gid || request.mark;
  packet.mark = request.mark.value_or(0);
  packet.interface = request.interface;
  if (packet.interface.empty())
    packet.interface = packet.made_here && local(request.destination) ? "lo" : "eth0";
  return packet;
}

Trace trace(const Plan& plan, const Packet& packet, const std::map<std::string, uint32_t>& group_ids) {
  return Walk(plan, packet, group_ids).run();
}

std::string describe(const Trace& trace, const Packet& packet) {
  const Family family = packet.source.is_v6() ? Family::kV6 : Family::kV4;
  std::string text = fmt::format("{} {} to {}", packet.transport == Transport::kTcp ? "TCP" : "UDP",
                                 packet.source.to_string(), endpoint(packet.destination, packet.port));
  const std::string mark = packet.mark == 0 ? "" : fmt::format(" mark {:#x}", packet.mark);
  text += packet.made_here ? fmt::format(", made here by uid {} gid {}{}, leaves by {}\n", packet.uid,
                                         packet.gid, mark, packet.interface)
                           : fmt::format(", arrives by {}\n", packet.interface);
  for (const Rule* rule : trace.steps) {
    text += fmt::format("  {:<6} {:<17} {}\n", table_name(rule->table), chain_name(rule->chain),
                        rule_text(*rule, family));
  }
  switch (trace.fate) {
    case Trace::Fate::kRedirected:
      text += fmt::format("captured: redirected to port {}\n", trace.port);
      break;
    case Trace::Fate::kTransparent:
      text += fmt::format("captured: handed to the transparent socket on port {}\n", trace.port);
      break;
    case Trace::Fate::kDropped:
      text += "dropped\n";
      break;
    case Trace::Fate::kUntouched:
      text += "not captured\n";
      break;
  }
  if (trace.no_rules)
    return text +
           "because there are no IPv6 rules: the first address is IPv4, and --dual-stack is not given\n";
  if (trace.steps.empty()) return text + "because no rule matches\n";
  // The jump into a REDIRECT chain says why; the chain itself only says where to.
  const Rule* why = trace.steps.back();
  if (trace.fate == Trace::Fate::kRedirected && trace.steps.size() > 1 &&
      (why->chain == Chain::kIstioRedirect || why->chain == Chain::kIstioInRedirect))
    why = trace.steps[trace.steps.size() - 2];
  return text + fmt::format("because {} {}: {}\n        {} [{}]\n", table_name(why->table),
                            chain_name(why->chain), rule_text(*why, family), why->reason, why->cause);
}

}  // namespace sockmesh::iptables
