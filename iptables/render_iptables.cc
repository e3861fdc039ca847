#include "iptables/render_iptables.h"

#include <algorithm>

namespace sockmesh::iptables {

namespace {

std::string_view bang(bool negate) { return negate ? "! " : ""; }

std::string match_text(const Match& match, Family family) {
  return std::visit(
      Overloaded{
          [](const match::InInterface& m) { return fmt::format("-i {}", m.name); },
          [](const match::OutInterface& m) { return fmt::format("-o {}", m.name); },
          [](const match::Protocol& m) {
            return fmt::format("-p {}", m.transport == Transport::kTcp ? "tcp" : "udp");
          },
          [&](const match::Source& m) { return fmt::format("-s {}", m.block.of(family).to_string()); },
          [&](const match::Destination& m) {
            return fmt::format("{}-d {}", bang(m.negate), m.block.of(family).to_string());
          },
          [](const match::SourcePort& m) { return fmt::format("--sport {}", m.port); },
          [](const match::DestinationPort& m) { return fmt::format("{}--dport {}", bang(m.negate), m.port); },
          [](const match::NoneOfDestinationPorts& m) {
            return fmt::format("-m multiport ! --dports {}", fmt::join(m.ports, ","));
          },
          [](const match::Uid& m) { return fmt::format("-m owner {}--uid-owner {}", bang(m.negate), m.uid); },
          [](const match::Gid& m) {
            return fmt::format("-m owner {}--gid-owner {}", bang(m.negate), m.group);
          },
          [](const match::ConntrackState& m) {
            return fmt::format("-m conntrack --ctstate {}",
                               m.kind == match::ConntrackState::kInvalid ? "INVALID" : "RELATED,ESTABLISHED");
          },
          // As iptables-save prints --syn.
          [](const match::Syn&) -> std::string { return "--tcp-flags FIN,SYN,RST,ACK SYN"; },
          [](const match::Mark& m) { return fmt::format("-m mark {}--mark {}", bang(m.negate), m.mark); },
          [](const match::MarkBits& m) { return fmt::format("-m mark --mark {}", m.mark.to_string()); },
          [](const match::ConnectionMark& m) { return fmt::format("-m connmark --mark {}", m.mark); },
      },
      match);
}

// Istio writes --to-port for UDP and --to-ports for TCP; iptables takes either.
bool is_udp(const Rule& rule) {
  return std::any_of(rule.matches.begin(), rule.matches.end(), [](const Match& match) {
    const auto* protocol = std::get_if<match::Protocol>(&match);
    return protocol && protocol->transport == Transport::kUdp;
  });
}

std::string target_text(const Rule& rule) {
  return std::visit(
      Overloaded{
          [](const target::Return&) -> std::string { return "-j RETURN"; },
          [](const target::Accept&) -> std::string { return "-j ACCEPT"; },
          [](const target::Drop&) -> std::string { return "-j DROP"; },
          [](const target::Jump& t) { return fmt::format("-j {}", chain_name(t.chain)); },
          [&](const target::Redirect& t) {
            return fmt::format("-j REDIRECT {} {}", is_udp(rule) ? "--to-port" : "--to-ports", t.port);
          },
          [](const target::TransparentProxy& t) {
            return fmt::format("-j TPROXY --tproxy-mark {}/0xffffffff --on-port {}", t.mark, t.port);
          },
          [](const target::SetMark& t) { return fmt::format("-j MARK --set-mark {}", t.mark); },
          [](const target::SaveMark&) -> std::string { return "-j CONNMARK --save-mark"; },
          [](const target::RestoreMark&) -> std::string { return "-j CONNMARK --restore-mark"; },
          [](const target::ConntrackZone& t) { return fmt::format("-j CT --zone {}", t.zone); },
      },
      rule.target);
}

}  // namespace

std::string rule_text(const Rule& rule, Family family) {
  std::string text;
  for (const Match& match : rule.matches) text += match_text(match, family) + " ";
  return text + target_text(rule);
}

std::string rule_command(const Rule& rule, Family family) {
  const std::string where = rule.insert ? fmt::format("-I {} {}", chain_name(rule.chain), *rule.insert)
                                        : fmt::format("-A {}", chain_name(rule.chain));
  return where + " " + rule_text(rule, family);
}

std::string table_commands(const Plan& plan, Family family, Table table) {
  std::string text;
  for (const Chain chain : own_chains(plan, family, table)) text += fmt::format("-N {}\n", chain_name(chain));
  for (const Rule& rule : plan.rules) {
    if (rule.table == table && rule.families.has(family)) text += rule_command(rule, family) + "\n";
  }
  return text;
}

std::string restore_document(const Plan& plan, Family family) {
  std::string text;
  for (const Table table : kTables) {
    if (!has_table(plan, family, table)) continue;
    text += fmt::format("* {}\n{}COMMIT\n", table_name(table), table_commands(plan, family, table));
  }
  return text;
}

}  // namespace sockmesh::iptables
