#include "iptables/rules.h"

#include <catch2/catch.hpp>

#include "iptables/render_iptables.h"

namespace sockmesh::iptables {

namespace {

Rule rule(Chain chain, uint16_t port, std::optional<int> insert = std::nullopt, Families families = {}) {
  return {Table::nat,       chain,    insert, {match::DestinationPort{port, false}},
          target::Return{}, families, "",     ""};
}

std::vector<int> ports(const Plan& plan, std::optional<Family> family, Chain chain) {
  std::vector<int> out;
  for (const Rule* r : chain_rules(plan, family, Table::nat, chain))
    out.push_back(std::get<match::DestinationPort>(r->matches[0]).port);
  return out;
}

}  // namespace

TEST_CASE("insertions are carried out in the order they are made") {
  Plan plan;
  plan.rules = {rule(Chain::prerouting, 1),    rule(Chain::prerouting, 2),    rule(Chain::prerouting, 3, 1),
                rule(Chain::prerouting, 4, 1), rule(Chain::prerouting, 5, 2), rule(Chain::prerouting, 6, 99),
                rule(Chain::output, 7)};
  CHECK(ports(plan, Family::v4, Chain::prerouting) == std::vector<int>{4, 5, 3, 1, 2, 6});
  CHECK(ports(plan, Family::v4, Chain::output) == std::vector<int>{7});
}

TEST_CASE("families") {
  Plan plan;
  plan.rules = {rule(Chain::output, 1), rule(Chain::output, 2, std::nullopt, {true, false}),
                rule(Chain::output, 3, std::nullopt, {false, true})};
  CHECK(ports(plan, Family::v4, Chain::output) == std::vector<int>{1, 2});
  CHECK(ports(plan, Family::v6, Chain::output) == std::vector<int>{1, 3});
  CHECK(ports(plan, std::nullopt, Chain::output) == std::vector<int>{1, 2, 3});
}

TEST_CASE("chains of ours: as used, then those only jumped to") {
  Plan plan;
  Rule jump = rule(Chain::output, 1);
  jump.target = target::Jump{Chain::istio_drop};
  plan.rules = {jump, rule(Chain::istio_output, 2), rule(Chain::istio_inbound, 3)};
  CHECK(own_chains(plan, Family::v4, Table::nat) ==
        std::vector<Chain>{Chain::istio_output, Chain::istio_inbound, Chain::istio_drop});
  CHECK(own_chains(plan, Family::v4, Table::raw).empty());
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
