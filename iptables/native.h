// Native nftables in the kernel: what Session is for iptables. The tables are ours alone, so applying is
// replacing and a second run is the same as the first.
#pragma once

#include <string>
#include <vector>

#include "iptables/backend.h"
#include "iptables/rules.h"

namespace sockmesh::iptables {

class NativeSession {
 public:
  // Fails, naming nft, if there is none.
  static Result<NativeSession> open(const Launcher& launcher, const Plan& plan);

  Result<void> apply();
  Result<void> remove();
  Result<void> undo();  // back to what open() found, counters included

  // What differs between the running tables and the plan, a line each. nft prints rules in a spelling of its
  // own, so the plan is loaded beside them into tables without a hook, printed and deleted.
  Result<std::vector<std::string>> compare() const;

 private:
  NativeSession(const Launcher& launcher, const Plan& plan) : launcher_(&launcher), plan_(&plan) {}
  Result<void> run(const std::string& script) const;
  // A table as `nft list` prints it, or empty.
  std::string list(const std::string& table, bool counters) const;

  const Launcher* launcher_;  // both outlive this
  const Plan* plan_;
  std::string saved_;
};

}  // namespace sockmesh::iptables
