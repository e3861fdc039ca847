// Backend: the iptables programs that serve one family in the current network namespace: which of legacy and
// nft, which version, with which lock. Chosen as Istio's dependencies/ package does (legacy if it already
// holds rules, else nft, else the plain name), with one addition: a back end that already holds our chains is
// taken first, so that a second run never writes a second copy beside the first.
#pragma once

#include <compare>
#include <string>

#include "iptables/options.h"
#include "iptables/process.h"
#include "iptables/rules.h"

namespace sockmesh::iptables {

struct Version {
  int major = 0, minor = 0, patch = 0;
  auto operator<=>(const Version&) const = default;
};

// What `iptables-save --version` prints: "iptables-save v1.8.9 (nf_tables)". Nothing parsable is legacy
// 0.0.0, as the first versions did not know --version. Pure.
struct ToolVersion {
  Version version;
  bool nft = false;
};
ToolVersion parse_version(std::string_view text);

// How programs have to be started for one namespace: the runner, and what --cni-mode adds to each invocation.
struct Launcher {
  Runner run = run_program;
  std::string lock_file;    // for XTABLES_LOCKFILE; empty: the machine's own /run/xtables.lock
  int user_namespace = -1;  // borrowed descriptor, or -1

  Result<Outcome> operator()(std::vector<std::string> argv, std::string input = {}) const;
};

class Backend {
 public:
  // `may_write`: whether usability may be tried with a rule that matches nothing (Istio's test); a command
  // that only reads must not. Errors name the programs that were tried and what each lacked.
  static Result<Backend> choose(const Launcher& launcher, Family family, BinaryChoice choice, bool may_write);

  Family family() const { return family_; }
  bool nft() const { return version_.nft; }
  const std::string& name() const { return name_; }  // "iptables-nft"

  // What save() gave before usability was tried, which may leave an empty table behind.
  const std::string& found() const { return found_; }
  // All tables, with counters.
  Result<std::string> save() const;
  // Applies `document` on top of what is there; each table in it changes as a whole or not at all.
  Result<void> apply(const std::string& document) const { return restore(document, {"--noflush"}); }
  // Parses `document` and asks the kernel for what it needs, changes nothing.
  Result<void> rehearse(const std::string& document) const {
    return restore(document, {"--noflush", "--test"});
  }

 private:
  Backend(const Launcher& launcher, Family family, std::string name, ToolVersion version, std::string found)
      : launcher_(&launcher),
        family_(family),
        name_(std::move(name)),
        version_(version),
        found_(std::move(found)) {}
  Result<void> restore(const std::string& document, std::vector<std::string> flags) const;

  const Launcher* launcher_;  // outlives this
  Family family_;
  std::string name_;
  ToolVersion version_;
  std::string found_;
};

}  // namespace sockmesh::iptables
