// Which back end is chosen, with programs that are played.
#include "iptables/backend.h"

#include <catch2/catch.hpp>
#include <map>

#include "base/strings.h"

namespace sockmesh::iptables {

namespace {

const std::string kEmpty = "";
const std::string kRules = "*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j X\nCOMMIT\n";
const std::string kOurs = "*nat\n:ISTIO_OUTPUT - [0:0]\nCOMMIT\n";

// Programs that exist, and what their -save prints.
struct Played {
  std::map<std::string, std::string> saves;
  std::string try_out_error;  // what adding a rule says
  std::vector<std::string> ran;

  Launcher launcher() {
    Launcher launcher;
    launcher.run = [this](const Invocation& invocation) -> Result<Outcome> {
      const std::string& program = invocation.argv[0];
      ran.push_back(join(invocation.argv, " "));
      const std::string name = program.substr(0, program.find("-save"));
      const auto save = saves.find(name);
      if (save == saves.end()) return Outcome{127, "", program + ": not found\n"};
      if (invocation.argv.back() == "--version")
        return Outcome{0, program + (name.ends_with("legacy") ? " v1.8.9 (legacy)" : " v1.8.9 (nf_tables)"),
                       ""};
      if (program.ends_with("-save")) return Outcome{0, save->second, ""};
      return Outcome{try_out_error.empty() ? 0 : 1, "", try_out_error};
    };
    return launcher;
  }

  std::string choose(BinaryChoice choice = BinaryChoice::kAutomatic, bool may_write = true) {
    const Launcher with = launcher();
    const auto backend = Backend::choose(with, Family::kV4, choice, may_write);
    return backend ? backend->name() : backend.error().message;
  }
};

}  // namespace

TEST_CASE("versions") {
  CHECK(parse_version("iptables-save v1.8.9 (nf_tables)").nft);
  CHECK(parse_version("iptables-save v1.8.9 (nf_tables)").version == Version{1, 8, 9});
  CHECK_FALSE(parse_version("iptables-save v1.6.1").nft);
  CHECK(parse_version("iptables-save v1.6").version < Version{1, 6, 2});
  CHECK(parse_version("unknown option --version").version == Version{});
}

TEST_CASE("legacy if it holds rules, else nft, else the plain name") {
  const std::string legacy = "iptables-legacy", nft = "iptables-nft", plain = "iptables";
  CHECK(Played{{{legacy, kEmpty}, {nft, kEmpty}}}.choose() == nft);
  CHECK(Played{{{legacy, kRules}, {nft, kEmpty}}}.choose() == legacy);
  CHECK(Played{{{legacy, kRules}, {nft, kRules}}}.choose() == legacy);
  CHECK(Played{{{legacy, kRules}, {nft, kOurs}}}.choose() == nft);  // ours stay where they are
  CHECK(Played{{{legacy, kOurs}, {nft, kOurs}}}.choose() == legacy);
  CHECK(Played{{{plain, kEmpty}}}.choose() == plain);
  CHECK(Played{{{legacy, kEmpty}, {nft, kEmpty}}}.choose(BinaryChoice::kLegacy) == legacy);
}

TEST_CASE("what is missing is named") {
  CHECK(Played{}.choose() ==
        "no usable iptables: iptables-legacy iptables-legacy-save: not found; iptables-nft "
        "iptables-nft-save: not "
        "found; iptables iptables-save: not found");
  CHECK(Played{}.choose(BinaryChoice::kNft) ==
        "--force-iptables-binary 'nft': iptables-nft is not usable: iptables-nft-save: not found");
  Played no_module{{{"iptables-nft", kEmpty}}, "table `nat' does not exist\n", {}};
  CHECK(no_module.choose(BinaryChoice::kNft) ==
        "--force-iptables-binary 'nft': iptables-nft is not usable: the nat table is not to be had, is its "
        "kernel "
        "module there? (table `nat' does not exist)");
}

TEST_CASE("usability is tried with a rule that matches nothing, by those who may write") {
  Played played{{{"iptables-nft", kEmpty}}, "", {}};
  played.choose();
  const auto wrote = [](const std::string& command) { return command.find("-p 255") != std::string::npos; };
  CHECK(std::count_if(played.ran.begin(), played.ran.end(), wrote) == 2);
  played.ran.clear();
  played.choose(BinaryChoice::kAutomatic, false);
  CHECK(std::count_if(played.ran.begin(), played.ran.end(), wrote) == 0);
}

TEST_CASE("legacy waits for the xtables lock, nft has none") {
  for (const bool legacy : {true, false}) {
    Played played{{{legacy ? "iptables-legacy" : "iptables-nft", kRules}}, "", {}};
    const Launcher launcher = played.launcher();
    const auto backend = Backend::choose(launcher, Family::kV4, BinaryChoice::kAutomatic, false);
    REQUIRE(backend);
    (void)backend->apply("*nat\nCOMMIT\n");
    CHECK(played.ran.back() ==
          (legacy ? "iptables-legacy-restore --noflush --wait=30" : "iptables-nft-restore --noflush"));
    (void)backend->rehearse("*nat\nCOMMIT\n");
    CHECK(played.ran.back().find("--test") != std::string::npos);
  }
}

TEST_CASE("exit codes of restore are explained") {
  Launcher launcher;
  launcher.run = [](const Invocation& invocation) -> Result<Outcome> {
    const bool restore = invocation.argv[0].ends_with("-restore");
    return Outcome{restore ? 4 : 0, "",
                   restore ? "Another app is currently holding the xtables lock.\n" : ""};
  };
  const auto backend = Backend::choose(launcher, Family::kV6, BinaryChoice::kNft, false);
  REQUIRE(backend);
  CHECK(backend->apply("*nat\nCOMMIT\n").error().message ==
        "ip6tables-nft-restore resource problem (is the xtables lock held?): Another app is currently "
        "holding the "
        "xtables lock.");
}

}  // namespace sockmesh::iptables
