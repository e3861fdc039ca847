#include "iptables/explain.h"

#include <algorithm>

#include "iptables/render_iptables.h"

namespace sockmesh::iptables {

namespace {

// A chain, then the chains it jumps to, each once.
void explain_chain(const Plan& plan, Family family, Table table, Chain chain, std::vector<Chain>& done,
                   std::string& text) {
  if (std::find(done.begin(), done.end(), chain) != done.end()) return;
  done.push_back(chain);
  const auto rules = chain_rules(plan, family, table, chain);
  if (rules.empty()) return;
  text += fmt::format("\n  {} {}\n", table_name(table), chain_name(chain));
  int number = 0;
  for (const Rule* rule : rules) {
    text += fmt::format("  {:>3}. {}\n       {} [{}]\n", ++number, rule_text(*rule, family), rule->reason,
                        rule->cause);
  }
  for (const Rule* rule : rules) {
    if (const auto to = jump_of(*rule)) explain_chain(plan, family, table, *to, done, text);
  }
}

void explain_hook(const Plan& plan, Family family, Chain hook, std::string_view title, std::string& text) {
  text += fmt::format("\n{}\n", title);
  for (const Table table : {Table::kRaw, Table::kMangle, Table::kNat}) {
    std::vector<Chain> done;
    explain_chain(plan, family, table, hook, done, text);
  }
}

void explain_family(const Plan& plan, Family family, std::string& text) {
  const std::string_view name = family == Family::kV4 ? "IPv4" : "IPv6";
  explain_hook(plan, family, Chain::kPrerouting, fmt::format("{}: packets that arrive", name), text);
  explain_hook(plan, family, Chain::kOutput, fmt::format("{}: packets made in this pod", name), text);
}

}  // namespace

std::string explain(const Plan& plan) {
  std::string text =
      "A rule's number is its place in the chain; the first that matches decides unless it only marks.\n"
      "In brackets: the flag that asked for it.\n";
  explain_family(plan, Family::kV4, text);
  if (plan.ipv6) explain_family(plan, Family::kV6, text);
  if (plan.routes.loopback6)
    text +=
        "\n::6/128 on lo: the proxy's source address for local delivery; IPv4 has 127.0.0.6 without "
        "asking.\n";
  if (plan.routes.tproxy)
    text += fmt::format(
        "\nip rule fwmark {} lookup {}, and there `local default dev lo`: marked packets are delivered "
        "to this machine whatever their address.\n",
        plan.routes.tproxy->mark, plan.routes.tproxy->table);
  return text;
}

}  // namespace sockmesh::iptables
