#include "iptables/native.h"

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "iptables/render_nft.h"

namespace sockmesh::iptables {

namespace {

constexpr Table kNftTables[] = {Table::kNat, Table::kMangle, Table::kRaw};
const std::string kScratch = "sockmesh-check-";

// Chain name -> its rules in order, from `nft -s list table`. A base chain's line with its hook is left out:
// the scratch copy has none.
using Chains = std::map<std::string, std::vector<std::string>>;
Chains chains_of(const std::string& listing) {
  Chains chains;
  std::vector<std::string>* rules = nullptr;
  for (const std::string_view full : split(listing, '\n')) {
    const std::string_view line = trim(full);
    if (line.starts_with("chain ")) {
      rules = &chains[std::string(split(line, ' ')[1])];
    } else if (line == "}") {
      rules = nullptr;
    } else if (rules && !line.empty() && !line.starts_with("type ")) {
      rules->emplace_back(line);
    }
  }
  return chains;
}

void compare_chain(const std::string& where, const std::vector<std::string>& want,
                   const std::vector<std::string>& have, std::vector<std::string>& found) {
  if (want == have) return;
  const auto missing_from = [](const std::vector<std::string>& all, const std::string& rule) {
    return std::find(all.begin(), all.end(), rule) == all.end();
  };
  const size_t before = found.size();
  for (const std::string& rule : want) {
    if (missing_from(have, rule)) found.push_back(fmt::format("{}: missing rule: {}", where, rule));
  }
  for (const std::string& rule : have) {
    if (missing_from(want, rule)) found.push_back(fmt::format("{}: rule is not wanted: {}", where, rule));
  }
  if (found.size() == before) found.push_back(where + ": rules are out of order");
}

}  // namespace

Result<NativeSession> NativeSession::open(const Launcher& launcher, const Plan& plan) {
  NativeSession session(launcher, plan);
  const auto version = launcher({"nft", "--version"});
  if (!version || !version->ok())
    return fail("--native-nftables: no usable nft: {}",
                version ? trim(version->errors) : version.error().message);
  for (const Table table : kNftTables)
    session.saved_ += session.list(nft_table_name(table), /*counters=*/true);
  return session;
}

Result<void> NativeSession::run(const std::string& script) const {
  SOCKMESH_TRY(outcome, (*launcher_)({"nft", "-f", "-"}, script));
  if (!outcome.ok()) return fail("nft: {}", trim(outcome.errors));
  return {};
}

std::string NativeSession::list(const std::string& table, bool counters) const {
  std::vector<std::string> argv = {"nft"};
  if (!counters) argv.emplace_back("-s");
  for (const char* word : {"list", "table", "inet"}) argv.emplace_back(word);
  argv.push_back(table);
  const auto outcome = (*launcher_)(std::move(argv));
  return outcome && outcome->ok() ? outcome->output : "";
}

Result<void> NativeSession::apply() { return run(nft_script(*plan_)); }
Result<void> NativeSession::remove() { return run(nft_removal()); }
Result<void> NativeSession::undo() { return run(nft_removal() + saved_); }

Result<std::vector<std::string>> NativeSession::compare() const {
  std::string removal;
  for (const Table table : kNftTables)
    removal += fmt::format("add table inet {0}\ndelete table inet {0}\n", nft_table_name(table, kScratch));
  SOCKMESH_CHECK(run(removal + nft_unhooked_copy(*plan_, kScratch)));
  std::vector<std::string> found;
  for (const Table table : kNftTables) {
    const Chains want = chains_of(list(nft_table_name(table, kScratch), /*counters=*/false));
    const Chains have = chains_of(list(nft_table_name(table), /*counters=*/false));
    for (const auto& [chain, rules] : want) {
      const auto at = have.find(chain);
      const std::string where = fmt::format("{} {}", nft_table_name(table), chain);
      if (at == have.end())
        found.push_back(where + ": chain is missing");
      else
        compare_chain(where, rules, at->second, found);
    }
    for (const auto& [chain, rules] : have) {
      if (!want.contains(chain))
        found.push_back(fmt::format("{} {}: chain is not wanted", nft_table_name(table), chain));
    }
  }
  SOCKMESH_CHECK(run(removal));
  return found;
}

}  // namespace sockmesh::iptables
