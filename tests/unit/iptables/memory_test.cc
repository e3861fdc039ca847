// What nft lists, and what is taken away when the notes are followed.
#include "iptables/memory.h"

#include <catch2/catch.hpp>

namespace sockmesh::iptables {

namespace {

const char* const kListing =
    "# Warning: table ip nat is managed by iptables-nft, do not touch!\n"
    "table ip nat {\n"
    "\tchain DOCKER {\n"
    "\t}\n"
    "\n"
    "\tchain PREROUTING {\n"
    "\t\ttype nat hook prerouting priority dstnat; policy accept;\n"
    "\t\tfib daddr type local counter packets 0 bytes 0 jump DOCKER\n"
    "\t}\n"
    "\n"
    "\tchain OUTPUT {\n"
    "\t\ttype nat hook output priority -100; policy accept;\n"
    "\t}\n"
    "}\n"
    "table ip6 nat {\n"
    "\tchain OUTPUT {\n"
    "\t\ttype nat hook output priority -100; policy accept;\n"
    "\t}\n"
    "}\n"
    "table ip6 filter {\n"
    "\tchain INPUT {\n"
    "\t\ttype filter hook input priority filter; policy drop;\n"
    "\t}\n"
    "}\n"
    "table ip raw {\n"
    "}\n"
    "table inet sockmesh-init {\n"
    "\tchain begin {\n"
    "\t}\n"
    "\tchain v4-absent-nat-OUTPUT {\n"
    "\t}\n"
    "}\n";

}  // namespace

TEST_CASE("the ruleset as nft lists it") {
  const NftView view = parse_nft_ruleset(kListing);
  CHECK(view.memory.written());
  CHECK(view.memory.notes == std::set<std::string>{"begin", "v4-absent-nat-OUTPUT"});
  const NftInventory expected = {
      {"v4-nat", true},         {"v4-nat-DOCKER", false},  {"v4-nat-PREROUTING", true},
      {"v4-nat-OUTPUT", false}, {"v6-nat", true},          {"v6-nat-OUTPUT", false},
      {"v6-filter", true},      {"v6-filter-INPUT", true}, {"v4-raw", false}};
  CHECK(view.inventory == expected);
  CHECK_FALSE(parse_nft_ruleset("").memory.written());
}

TEST_CASE("only what was absent and is idle goes") {
  NftView view = parse_nft_ruleset(kListing);
  CHECK(forgetting_script(view.memory, view.inventory) ==
        "delete chain ip nat OUTPUT\nadd table inet sockmesh-init\ndelete table inet sockmesh-init\n");
  // Had nothing been there: the table with somebody's rule and the chain with a policy stay.
  CHECK(forgetting_script(absence({}), view.inventory) ==
        "delete chain ip nat OUTPUT\ndelete table ip raw\ndelete chain ip6 nat OUTPUT\ndelete table ip6 nat\n"
        "add table inet sockmesh-init\ndelete table inet sockmesh-init\n");
}

TEST_CASE("rules that were there are known again") {
  const SavedState state =
      parse_save("*nat\n-A OUTPUT -p tcp -j ACCEPT\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n");
  std::string script;
  Launcher launcher;
  launcher.run = [&](const Invocation& invocation) -> Result<Outcome> {
    script = invocation.input;
    return Outcome{};
  };
  Memory memory;
  REQUIRE(remember(launcher, memory, {}, state, {}));
  CHECK_FALSE(memory.written());  // no nft, no notes
  memory.available = true;
  REQUIRE(remember(launcher, memory, {{"v4-nat", true}, {"v4-nat-OUTPUT", true}}, state, {}));
  const auto& rules = state.tables[0].rules;
  CHECK(memory.knows(Family::kV4, "nat", rules[0]));
  CHECK_FALSE(memory.knows(Family::kV6, "nat", rules[0]));
  CHECK_FALSE(memory.knows(Family::kV4, "nat", rules[1]));  // not a chain of ours
  CHECK(memory.notes.contains("v4-absent-nat-PREROUTING"));
  CHECK_FALSE(memory.notes.contains("v4-absent-nat-OUTPUT"));
  CHECK(script.starts_with("add table inet sockmesh-init\ndelete table inet sockmesh-init\nadd table"));
}

}  // namespace sockmesh::iptables
