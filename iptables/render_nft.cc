#include "iptables/render_nft.h"

#include <algorithm>

#include "base/strings.h"

namespace sockmesh::iptables {

namespace {

constexpr Table kNftTables[] = {Table::kNat, Table::kMangle, Table::kRaw};
constexpr Chain kBaseChains[] = {Chain::kPrerouting, Chain::kOutput};

// PREROUTING -> prerouting, ISTIO_IN_REDIRECT -> istio-in-redirect
std::string chain_word(Chain chain) {
  std::string word = to_lower(chain_name(chain));
  std::replace(word.begin(), word.end(), '_', '-');
  return word;
}

// Numbers instead of names (dstnat, mangle, raw): old versions of nft do not know the names in family inet.
// The type of mangle's output is route, so that a new mark makes the kernel look for a route again.
std::string_view hook_words(Table table, Chain chain) {
  const bool output = chain == Chain::kOutput;
  switch (table) {
    case Table::kNat:
      return output ? "type nat hook output priority -100" : "type nat hook prerouting priority -100";
    case Table::kMangle:
      return output ? "type route hook output priority -150" : "type filter hook prerouting priority -150";
    default:
      return output ? "type filter hook output priority -300" : "type filter hook prerouting priority -300";
  }
}

std::string interface_word(std::string_view name) {
  if (name.ends_with('+')) return fmt::format("\"{}*\"", name.substr(0, name.size() - 1));
  return fmt::format("\"{}\"", name);
}

std::string_view unequal(bool negate) { return negate ? "!= " : ""; }

bool names_a_block(const Match& match) {
  return std::holds_alternative<match::Source>(match) || std::holds_alternative<match::Destination>(match);
}

std::string_view transport_word(const Rule& rule) {
  for (const Match& match : rule.matches) {
    if (const auto* protocol = std::get_if<match::Protocol>(&match))
      return protocol->transport == Transport::kTcp ? "tcp" : "udp";
  }
  return "tcp";
}

std::string match_text(const Match& match, const Rule& rule, Family family) {
  const std::string_view transport = transport_word(rule);
  return std::visit(
      Overloaded{
          [](const match::InInterface& m) { return fmt::format("iifname {}", interface_word(m.name)); },
          [](const match::OutInterface& m) { return fmt::format("oifname {}", interface_word(m.name)); },
          [&](const match::Protocol&) { return fmt::format("meta l4proto {}", transport); },
          [&](const match::Source& m) {
            return fmt::format("{} saddr {}", nft_family(family), m.block.of(family).to_string());
          },
          [&](const match::Destination& m) {
            return fmt::format("{} daddr {}{}", nft_family(family), unequal(m.negate),
                               m.block.of(family).to_string());
          },
          [&](const match::SourcePort& m) { return fmt::format("{} sport {}", transport, m.port); },
          [&](const match::DestinationPort& m) {
            return fmt::format("{} dport {}{}", transport, unequal(m.negate), m.port);
          },
          [&](const match::NoneOfDestinationPorts& m) {
            return fmt::format("{} dport != {{ {} }}", transport, fmt::join(m.ports, ", "));
          },
          [](const match::Uid& m) { return fmt::format("meta skuid {}{}", unequal(m.negate), m.uid); },
          [](const match::Gid& m) { return fmt::format("meta skgid {}{}", unequal(m.negate), m.group); },
          [](const match::ConntrackState& m) -> std::string {
            // Istio limits drop-invalid to TCP in this mode.
            return m.kind == match::ConntrackState::kInvalid ? "meta l4proto tcp ct state invalid"
                                                             : "ct state related,established";
          },
          [](const match::Syn&) -> std::string { return "tcp flags & (fin | syn | rst | ack) == syn"; },
          [](const match::Mark& m) { return fmt::format("meta mark {}{}", unequal(m.negate), m.mark); },
          [](const match::MarkBits& m) {
            return fmt::format("meta mark & {:#x} == {:#x}", m.mark.mask, m.mark.value);
          },
          [](const match::ConnectionMark& m) { return fmt::format("ct mark {}", m.mark); },
      },
      match);
}

std::string target_text(const Target& target, Family family) {
  return std::visit(Overloaded{
                        [](const target::Return&) -> std::string { return "return"; },
                        [](const target::Accept&) -> std::string { return "accept"; },
                        [](const target::Drop&) -> std::string { return "drop"; },
                        [](const target::Jump& t) { return fmt::format("jump {}", chain_word(t.chain)); },
                        [](const target::Redirect& t) { return fmt::format("redirect to :{}", t.port); },
                        [&](const target::TransparentProxy& t) {
                          return fmt::format("tproxy {} to :{} meta mark set {} accept", nft_family(family),
                                             t.port, t.mark);
                        },
                        [](const target::SetMark& t) { return fmt::format("meta mark set {}", t.mark); },
                        [](const target::SaveMark&) -> std::string { return "ct mark set meta mark"; },
                        [](const target::RestoreMark&) -> std::string { return "meta mark set ct mark"; },
                        [](const target::ConntrackZone& t) { return fmt::format("ct zone set {}", t.zone); },
                    },
                    target);
}

std::string rule_words(const Rule& rule, Family family, std::string_view guard) {
  std::string text(guard);
  for (const Match& match : rule.matches) text += match_text(match, rule, family) + " ";
  return text + "counter " + target_text(rule.target, family);
}

// One rule of ours may be two of nft's: an address belongs to a family, and so does tproxy.
std::vector<std::string> rule_lines(const Rule& rule, const Plan& plan) {
  const bool by_family = std::any_of(rule.matches.begin(), rule.matches.end(), names_a_block);
  const bool base = is_builtin(rule.chain);
  std::vector<std::string> lines;
  if (!by_family && rule.families.v4 && rule.families.v6) {
    const std::string_view guard = base && !plan.ipv6 ? "meta nfproto ipv4 " : "";
    return {rule_words(rule, Family::kV4, guard)};
  }
  for (const Family family : {Family::kV4, Family::kV6}) {
    if (!rule.families.has(family) || (family == Family::kV6 && !plan.ipv6)) continue;
    const std::string_view guard =
        by_family ? "" : (family == Family::kV4 ? "meta nfproto ipv4 " : "meta nfproto ipv6 ");
    lines.push_back(rule_words(rule, family, guard));
  }
  return lines;
}

// Which chains of a table are needed: base chains with rules first, then ours.
std::vector<Chain> chains_of(const Plan& plan, Table table) {
  std::vector<Chain> chains;
  for (const Chain chain : kBaseChains) {
    if (!chain_rules(plan, std::nullopt, table, chain).empty()) chains.push_back(chain);
  }
  for (const Chain chain : own_chains(plan, std::nullopt, table)) chains.push_back(chain);
  return chains;
}

std::string table_script(const Plan& plan, Table table, const std::string& name, bool hooked) {
  std::string text = fmt::format("add table inet {}\n", name);
  const auto chains = chains_of(plan, table);
  for (const Chain chain : chains) {
    text += fmt::format("add chain inet {} {}", name, chain_word(chain));
    if (hooked && is_builtin(chain)) text += fmt::format(" {{ {} ; }}", hook_words(table, chain));
    text += "\n";
  }
  for (const Chain chain : chains) {
    for (const Rule* rule : chain_rules(plan, std::nullopt, table, chain)) {
      for (const std::string& line : rule_lines(*rule, plan))
        text += fmt::format("add rule inet {} {} {}\n", name, chain_word(chain), line);
    }
  }
  return text;
}

bool wanted(const Plan& plan, Table table) {
  return has_table(plan, Family::kV4, table) || (plan.ipv6 && has_table(plan, Family::kV6, table));
}

}  // namespace

std::string nft_table_name(Table table, const std::string& prefix) {
  return prefix + std::string(table_name(table));
}

std::string nft_removal() {
  std::string text;
  for (const Table table : kNftTables) {
    // "add" first, because deleting what does not exist is an error.
    text += fmt::format("add table inet {0}\ndelete table inet {0}\n", nft_table_name(table));
  }
  return text;
}

std::string nft_script(const Plan& plan) {
  std::string text = nft_removal();
  for (const Table table : kNftTables) {
    if (wanted(plan, table)) text += table_script(plan, table, nft_table_name(table), /*hooked=*/true);
  }
  return text;
}

std::string nft_unhooked_copy(const Plan& plan, const std::string& prefix) {
  std::string text;
  for (const Table table : kNftTables) {
    if (wanted(plan, table))
      text += table_script(plan, table, nft_table_name(table, prefix), /*hooked=*/false);
  }
  return text;
}

}  // namespace sockmesh::iptables
