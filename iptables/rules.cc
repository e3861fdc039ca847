#include "iptables/rules.h"

#include <algorithm>
#include <array>

#include "base/strings.h"

namespace sockmesh::iptables {

std::string_view table_name(Table table) {
  constexpr std::array<std::string_view, 4> kNames = {"filter", "mangle", "nat", "raw"};
  return kNames[static_cast<size_t>(table)];
}

std::string_view chain_name(Chain chain) {
  constexpr std::array<std::string_view, 10> kNames = {
      "PREROUTING",   "OUTPUT",           "ISTIO_INBOUND", "ISTIO_REDIRECT", "ISTIO_IN_REDIRECT",
      "ISTIO_OUTPUT", "ISTIO_OUTPUT_DNS", "ISTIO_DIVERT",  "ISTIO_TPROXY",   "ISTIO_DROP"};
  return kNames[static_cast<size_t>(chain)];
}

std::string_view nft_family(Family family) { return family == Family::kV4 ? "ip" : "ip6"; }

Result<Cidr> Cidr::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto ip = IpAddress::parse(text.substr(0, slash));
  if (!ip || slash == std::string_view::npos)
    return fail("'{}': expected a CIDR block such as 10.0.0.0/8 or fd00::/8", text);
  const std::string_view digits = text.substr(slash + 1);
  const auto length = parse_number<uint8_t>(digits);
  if (!length || *length > ip->bits() || (digits.size() > 1 && digits[0] == '0'))
    return fail("'{}': expected a prefix length from 0 to {} after the slash", text, ip->bits());
  return Cidr{*ip, *length};
}

bool Cidr::contains(const IpAddress& ip) const {
  return ip.is_v6() == address.is_v6() && ip.masked(length) == address.masked(length);
}

std::string Cidr::to_string() const { return fmt::format("{}/{}", address.to_string(), length); }

std::vector<const Rule*> chain_rules(const Plan& plan, std::optional<Family> family, Table table,
                                     Chain chain) {
  std::vector<const Rule*> order;
  for (const Rule& rule : plan.rules) {
    if (rule.table != table || rule.chain != chain || (family && !rule.families.has(*family))) continue;
    const size_t at = rule.insert ? static_cast<size_t>(*rule.insert - 1) : order.size();
    order.insert(order.begin() + static_cast<std::ptrdiff_t>(std::min(at, order.size())), &rule);
  }
  return order;
}

std::vector<Chain> own_chains(const Plan& plan, std::optional<Family> family, Table table) {
  std::vector<Chain> used, jumped;
  const auto note = [](std::vector<Chain>& list, Chain chain) {
    if (!is_builtin(chain) && std::find(list.begin(), list.end(), chain) == list.end()) list.push_back(chain);
  };
  for (const Rule& rule : plan.rules) {
    if (rule.table != table || (family && !rule.families.has(*family))) continue;
    note(used, rule.chain);
    if (const auto to = jump_of(rule)) note(jumped, *to);
  }
  for (const Chain chain : jumped) note(used, chain);
  return used;
}

bool has_table(const Plan& plan, Family family, Table table) {
  return std::any_of(plan.rules.begin(), plan.rules.end(),
                     [&](const Rule& rule) { return rule.table == table && rule.families.has(family); });
}

std::optional<Chain> jump_of(const Rule& rule) {
  const auto* jump = std::get_if<target::Jump>(&rule.target);
  return jump ? std::optional(jump->chain) : std::nullopt;
}

}  // namespace sockmesh::iptables
