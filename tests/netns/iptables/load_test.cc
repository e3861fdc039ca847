// Every golden rule set, loaded as it is printed into a namespace by both back ends, saved back and found to
// be what was wanted.
#include <catch2/catch.hpp>
#include <filesystem>

#include "base/strings.h"
#include "golden_cases/golden_cases.h"
#include "init_support/machine.h"
#include "iptables/drift.h"
#include "iptables/render_iptables.h"
#include "test_support/process.h"

namespace sockmesh::test {

namespace {

using iptables::Family;

void load(const GoldenCase& golden, const iptables::Plan& plan, const iptables::GroupIds& groups) {
  const Netns netns("load");
  const iptables::Memory memory;
  for (const Family family : {Family::kV4, Family::kV6}) {
    if (family == Family::kV6 && !plan.ipv6) continue;
    for (const char* kind : {"nft", "legacy"}) {
      INFO(golden.name << " " << kind);
      const std::string program =
          fmt::format("{}-{}", family == Family::kV4 ? "iptables" : "ip6tables", kind);
      std::string saved;
      netns.run([&] {
        const auto restored = iptables::run_program(
            {.argv = {program + "-restore", "--noflush"}, .input = iptables::restore_document(plan, family)});
        REQUIRE(restored);
        INFO(restored->errors);
        REQUIRE(restored->exit_code == 0);
        saved = iptables::run_program({.argv = {program + "-save", "-c"}})->output;
      });
      const auto state = iptables::parse_save(saved);
      for (const auto& finding : iptables::compare(plan, {family, state, memory, groups}))
        FAIL_CHECK(to_string(finding));
    }
  }
}

}  // namespace

TEST_CASE("every rule set loads and is saved back as wanted") {
  std::filesystem::current_path(golden_folder());
  int loaded = 0;
  for (const GoldenCase& golden : golden_cases()) {
    const auto environment = [&](const std::string& name) -> std::optional<std::string> {
      const auto at = golden.environment.find(name);
      return at == golden.environment.end() ? std::nullopt : std::optional(at->second);
    };
    const auto line = iptables::parse_command_line(golden.args, environment);
    if (!line || !line->options.dry_run) continue;
    const auto wanted = iptables::want(line->options, [](const std::string&) {});
    if (!wanted) continue;
    load(golden, wanted->plan, wanted->facts.group_ids);
    ++loaded;
  }
  CHECK(loaded > 60);
}

}  // namespace sockmesh::test
