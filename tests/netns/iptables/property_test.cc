// Random flags against a machine that already has rules: apply, apply again, damage, repair, clean up.
// Whatever the flags, a second run changes nothing, every damage is found and repaired, and in the end the
// machine is as before.
#include <catch2/catch.hpp>
#include <random>

#include "init_support/machine.h"
#include "iptables/saved_state.h"
#include "test_support/process.h"

namespace sockmesh::test {

namespace {

using iptables::Action;

constexpr int kRounds = 8;  // the same flags in every run, about half a second each

class Flags {
 public:
  explicit Flags(uint32_t seed) : random_(seed) {}

  std::string make() {
    std::string flags;
    const auto maybe = [&](std::initializer_list<const char*> choices) {
      const size_t pick = random_() % (choices.size() + 1);
      if (pick < choices.size()) flags += std::string(choices.begin()[pick]) + " ";
    };
    maybe({"-b *", "-b 80,443", "-b 8080"});
    maybe({"-d 15090,15021,15020"});
    maybe({"-i *", "-i 10.0.0.0/8,fd00::/16", "-i 127.1.2.3/32", "-i ::/0,0.0.0.0/0"});
    maybe({"-x 10.96.0.0/12", "-x fd00:96::/64,10.1.2.3/32"});
    maybe({"-q 9000", "-q 9000,9001,9000"});
    maybe({"-o 25", "-o 53,25"});
    maybe({"-c eth1", "-c eth1,veth+"});
    maybe({"-k net1", "-k net1,net2"});
    maybe({"-u 1337", "-u 1337,0", "-u 7"});
    maybe({"-g 1337", "-g 8,9"});
    maybe({"-m TPROXY", "-m TPROXY -t 9 -r 99", "-m REDIRECT"});
    maybe({"--direct-mark 0x20000000", "--direct-mark 0x40000/0xc0000"});
    maybe({"--drop-invalid"});
    maybe({"--dual-stack"});
    maybe({"--redirect-dns --capture-all-dns", "--redirect-dns --resolv-conf /nowhere --capture-all-dns"});
    return flags;
  }
  size_t below(size_t limit) { return random_() % limit; }

 private:
  std::mt19937 random_;
};

// Takes one rule of a chain of ours away, doubles one, or puts a stranger in. Returns the command.
std::string damage(const Netns& netns, const std::string& program, Flags& random) {
  const auto state = iptables::parse_save(must_run({program + "-save"}, &netns));
  std::vector<std::string> commands;
  for (const auto& table : state.tables) {
    const std::string start = fmt::format("{} -t {} ", program, table.name);
    std::map<std::string, int> number;
    for (const auto& rule : table.rules) {
      const int at = ++number[rule.chain];
      const bool ours = iptables::is_own_chain(rule.chain);
      if (!ours && !iptables::is_own_chain(iptables::target_of(rule.body))) continue;
      commands.push_back(start + fmt::format("-D {} {}", rule.chain, at));
      commands.push_back(start + fmt::format("-A {} {}", rule.chain, rule.body));
      commands.push_back(start + fmt::format("-I {} {} -p tcp --dport 4711 -j ACCEPT", rule.chain, at));
    }
  }
  const std::string command = commands.at(random.below(commands.size()));
  in_pod(netns, command);
  return command;
}

void remove_strangers(const Netns& netns, const std::string& program) {
  const auto state = iptables::parse_save(must_run({program + "-save"}, &netns));
  for (const auto& table : state.tables) {
    for (const auto& rule : table.rules) {
      if (rule.body.find("4711") != std::string::npos)
        in_pod(netns, fmt::format("{} -t {} -D {} {}", program, table.name, rule.chain, rule.body));
    }
  }
}

void round(const std::string& kind, uint32_t seed) {
  Flags random(seed);
  const std::string flags = random.make() + "--force-iptables-binary " + kind;
  const std::string program = "iptables-" + kind;
  PodNetwork pods;
  const Netns& netns = pods.add("app").netns;
  add_foreign_rules(netns, kind);
  const std::string before = picture_of(netns);
  INFO("seed " << seed << ": " << flags);

  const auto applied = run_init(netns, flags);
  INFO(applied.log);
  REQUIRE(applied.action == Action::kApplied);
  CHECK(check_init(netns, flags) == kNothing);
  const std::string wanted = picture_of(netns);
  CHECK(run_init(netns, flags).action == Action::kUnchanged);
  CHECK(changed_lines(wanted, picture_of(netns)) == kNothing);

  for (int i = 0; i < 2; ++i) {
    const std::string command = damage(netns, program, random);
    INFO("damage: " << command);
    CHECK(!check_init(netns, flags).empty());
    const auto repaired = run_init(netns, flags + " --reconcile");
    INFO(repaired.log);
    CHECK(repaired.action == Action::kReconciled);
    CHECK(check_init(netns, flags) == kNothing);
  }
  remove_strangers(netns, program);

  const auto cleaned = run_init(netns, flags + " --cleanup-only");
  INFO(cleaned.log);
  CHECK(cleaned.action == Action::kCleaned);
  CHECK(changed_lines(before, picture_of(netns)) == kNothing);
}

void rounds(const std::string& kind) {
  for (uint32_t seed = 1; seed <= kRounds; ++seed) round(kind, seed);
}

}  // namespace

TEST_CASE("random flags, iptables-nft") { rounds("nft"); }
TEST_CASE("random flags, iptables-legacy") { rounds("legacy"); }

}  // namespace sockmesh::test
