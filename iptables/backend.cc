#include "iptables/backend.h"

#include <algorithm>
#include <array>

#include "base/strings.h"

namespace sockmesh::iptables {

namespace {

// An empty legacy table prints as many lines; Istio counts it as rules, and so do we.
constexpr long kLinesThatMeanRules = 3;
constexpr Version kFirstWithWait{1, 6, 2};  // of iptables-restore --wait
constexpr int kLockWaitSeconds = 30;

struct Candidate {
  std::string name;
  std::string saved;
  ToolVersion version;
  std::string lacks;  // why it is of no use, or empty
  bool holds_rules() const { return std::count(saved.begin(), saved.end(), '\n') >= kLinesThatMeanRules; }
  bool holds_ours() const { return saved.find("\n:ISTIO_") != std::string::npos; }
};

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return std::string(trim(text));
}

Candidate look_at(const Launcher& launcher, std::string name) {
  Candidate candidate{.name = std::move(name), .saved = {}, .version = {}, .lacks = {}};
  const auto saved = launcher({candidate.name + "-save", "-c"});
  if (!saved || !saved->ok()) {
    candidate.lacks = saved ? one_line(saved->errors) : saved.error().message;
    if (candidate.lacks.empty()) candidate.lacks = fmt::format("{}-save failed", candidate.name);
    return candidate;
  }
  candidate.saved = saved->output;
  const auto version = launcher({candidate.name + "-save", "--version"});
  if (version && version->ok()) candidate.version = parse_version(version->output);
  return candidate;
}

std::vector<std::string> wait_flags(const ToolVersion& version) {
  if (version.nft || version.version < kFirstWithWait) return {};
  return {fmt::format("--wait={}", kLockWaitSeconds)};
}

// Istio's test: a rule that no packet matches (protocol 255) is added to a table our rules need and removed
// again.
void try_out(const Launcher& launcher, Candidate& candidate) {
  const auto change = [&](const char* action) {
    std::vector<std::string> argv = {candidate.name, "-t",  "nat", action,  "INPUT",
                                     "-p",           "255", "-j",  "RETURN"};
    const auto wait = wait_flags(candidate.version);
    argv.insert(argv.end(), wait.begin(), wait.end());
    return launcher(std::move(argv));
  };
  const auto added = change("-A");
  if (!added || !added->ok() || added->errors.find("does not exist") != std::string::npos) {
    candidate.lacks = fmt::format("the nat table is not to be had, is its kernel module there? ({})",
                                  added ? one_line(added->errors) : added.error().message);
    return;
  }
  change("-D");
}

std::string_view program(Family family) { return family == Family::kV4 ? "iptables" : "ip6tables"; }

}  // namespace

ToolVersion parse_version(std::string_view text) {
  ToolVersion tool;
  const size_t start = text.find(" v");
  if (start == std::string_view::npos) return tool;
  std::string_view digits = text.substr(start + 2);
  digits = digits.substr(0, digits.find_first_not_of("0123456789."));
  const auto parts = split(digits, '.');
  const std::array<int*, 3> fields = {&tool.version.major, &tool.version.minor, &tool.version.patch};
  for (size_t i = 0; i < std::min(parts.size(), fields.size()); ++i) {
    *fields[i] = parse_number<int>(parts[i]).value_or(0);
  }
  tool.nft = text.find("nf_tables") != std::string_view::npos;
  return tool;
}

Result<Outcome> Launcher::operator()(std::vector<std::string> argv, std::string input) const {
  Invocation invocation{.argv = std::move(argv), .input = std::move(input), .user_namespace = user_namespace};
  if (!lock_file.empty()) invocation.environment.push_back("XTABLES_LOCKFILE=" + lock_file);
  return run(invocation);
}

Result<Backend> Backend::choose(const Launcher& launcher, Family family, BinaryChoice choice,
                                bool may_write) {
  const std::string base(program(family));
  const auto take = [&](const Candidate& candidate) {
    return Backend(launcher, family, candidate.name, candidate.version, candidate.saved);
  };
  const auto usable = [&](Candidate& candidate) {
    // That our chains are there is proof enough.
    if (candidate.lacks.empty() && may_write && !candidate.holds_ours()) try_out(launcher, candidate);
    return candidate.lacks.empty();
  };

  if (choice != BinaryChoice::kAutomatic) {
    const std::string_view kind = choice == BinaryChoice::kLegacy ? "legacy" : "nft";
    Candidate forced = look_at(launcher, fmt::format("{}-{}", base, kind));
    if (usable(forced)) return take(forced);
    return fail("--force-iptables-binary '{}': {} is not usable: {}", kind, forced.name, forced.lacks);
  }

  Candidate legacy = look_at(launcher, base + "-legacy");
  Candidate nft = look_at(launcher, base + "-nft");
  const bool nft_is_ours = nft.holds_ours() && !legacy.holds_ours();
  if (legacy.lacks.empty() && legacy.holds_rules() && !nft_is_ours && usable(legacy)) return take(legacy);
  if (usable(nft)) return take(nft);
  Candidate plain = look_at(launcher, base);
  if (usable(plain)) return take(plain);
  return fail("no usable {}: {}-legacy {}; {}-nft {}; {} {}", base, base,
              legacy.lacks.empty() ? "holds no rules" : legacy.lacks, base, nft.lacks, base, plain.lacks);
}

Result<std::string> Backend::save() const {
  SOCKMESH_TRY(outcome, (*launcher_)({name_ + "-save", "-c"}));
  if (!outcome.ok()) return fail("{}-save: {}", name_, one_line(outcome.errors));
  return std::move(outcome.output);
}

Result<void> Backend::restore(const std::string& document, std::vector<std::string> flags) const {
  if (document.empty()) return {};
  std::vector<std::string> argv = {name_ + "-restore"};
  argv.insert(argv.end(), flags.begin(), flags.end());
  for (std::string& flag : wait_flags(version_)) argv.push_back(std::move(flag));
  SOCKMESH_TRY(outcome, (*launcher_)(std::move(argv), document));
  if (outcome.ok()) return {};
  // The exit codes of xtables: include/xtables.h, enum xtables_exittype.
  constexpr std::array<std::string_view, 5> kMeaning = {
      "", "failed", "refused a parameter", "version problem", "resource problem (is the xtables lock held?)"};
  const auto code = static_cast<size_t>(outcome.exit_code);
  return fail("{}-restore {}: {}", name_, code < kMeaning.size() ? kMeaning[code] : "failed",
              one_line(outcome.errors));
}

}  // namespace sockmesh::iptables
