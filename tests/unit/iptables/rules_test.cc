#include "iptables/rules.h"

#include <catch2/catch.hpp>

#include "iptables/render_iptables.h"

namespace sockmesh::iptables {

namespace {

Rule rule(Chain chain, uint16_t port, std::optional<int> insert = std::nullopt, Families families = {}) {
  return {Table::kNat,      chain,    insert, {match::DestinationPort{port, false}},
          target::Return{}, families, "",     ""};
}

std::vector<int> ports(const Plan& plan, std::optional<Family> family, Chain chain) {
  std::vector<int> out;
  for (const Rule* r : chain_rules(plan, family, Table::kNat, chain))
    out.push_back(std::get<match::DestinationPort>(r->matches[0]).port);
  return out;
}

}  // namespace

TEST_CASE("insertions are carried out in the order they are made") {
  Plan plan;
  plan.rules = {rule(Chain::kPrerouting, 1),    rule(Chain::kPrerouting, 2),
                rule(Chain::kPrerouting, 3, 1), rule(Chain::kPrerouting, 4, 1),
                rule(Chain::kPrerouting, 5, 2), rule(Chain::kPrerouting, 6, 99),
                rule(Chain::kOutput, 7)};
  CHECK(ports(plan, Family::kV4, Chain::kPrerouting) == std::vector<int>{4, 5, 3, 1, 2, 6});
  CHECK(ports(plan, Family::kV4, Chain::kOutput) == std::vector<int>{7});
}

TEST_CASE("families") {
  Plan plan;
  plan.rules = {rule(Chain::kOutput, 1), rule(Chain::kOutput, 2, std::nullopt, {true, false}),
                rule(Chain::kOutput, 3, std::nullopt, {false, true})};
  CHECK(ports(plan, Family::kV4, Chain::kOutput) == std::vector<int>{1, 2});
  CHECK(ports(plan, Family::kV6, Chain::kOutput) == std::vector<int>{1, 3});
  CHECK(ports(plan, std::nullopt, Chain::kOutput) == std::vector<int>{1, 2, 3});
}

TEST_CASE("chains of ours: as used, then those only jumped to") {
  Plan plan;
  Rule jump = rule(Chain::kOutput, 1);
  jump.target = target::Jump{Chain::kIstioDrop};
  plan.rules = {jump, rule(Chain::kIstioOutput, 2), rule(Chain::kIstioInbound, 3)};
  CHECK(own_chains(plan, Family::kV4, Table::kNat) ==
        std::vector<Chain>{Chain::kIstioOutput, Chain::kIstioInbound, Chain::kIstioDrop});
  CHECK(own_chains(plan, Family::kV4, Table::kRaw).empty());
}

TEST_CASE("CIDR blocks keep what was written") {
  CHECK(Cidr::parse("127.0.0.1/8")->to_string() == "127.0.0.1/8");
  CHECK(Cidr::parse("127.0.0.1/8")->contains(IpAddress::v4(0x7f000006)));
  CHECK_FALSE(Cidr::parse("10.0.0.0/8")->contains(IpAddress::loopback(true)));
  CHECK(Cidr::parse("::/0")->contains(IpAddress::loopback(true)));
  for (const char* bad :
       {"10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "fd00::/129", "10.0.0.0/-1", "10.0.0.0/08", "/8", "*"})
    CHECK_FALSE(Cidr::parse(bad));
}

}  // namespace sockmesh::iptables
