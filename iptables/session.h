// Session: one namespace's rules while a transaction works on them: the back ends, the rules as they were
// found, and the operations on them. Lives in one thread.
#pragma once

#include <optional>
#include <vector>

#include "iptables/drift.h"
#include "iptables/namespace.h"
#include "iptables/transaction.h"

namespace sockmesh::iptables {

class Session {
 public:
  // Finds the back ends and reads the rules. `may_write` as in Backend::choose. IPv6 must be usable only if
  // the plan wants it.
  static Result<Session> open(const Launcher& launcher, const Options& options, const Wanted& wanted,
                              bool may_write);

  std::vector<Finding> compare() const;
  bool has_own_chains() const;
  std::string backend_names() const;  // "iptables-nft, ip6tables-nft"

  // Writes the plan where nothing of ours is. Like rebuild(), it first asks the programs and the kernel
  // whether they have all it needs, so that a missing module is named while nothing is changed; a later
  // failure leaves a mess for undo().
  Result<void> apply();
  // Swaps what differs. Where one table cannot hold the whole change, traffic is stopped while it is made.
  Result<void> rebuild(const std::vector<Finding>& findings);
  // Takes everything of ours out.
  Result<void> remove();
  // Back to what open() found.
  Result<void> undo();

 private:
  struct Side {
    Backend backend;
    SavedState state;  // as found
  };

  Session(const Launcher& launcher, const Wanted& wanted) : launcher_(&launcher), wanted_(&wanted) {}
  Running running(const Side& side, const SavedState& state) const {
    return {side.backend.family(), state, memory_, wanted_->facts.group_ids};
  }
  Plan plan_for(const Side& side) const;
  Result<void> rehearse(const std::vector<std::string>& documents) const;
  Result<void> swap(const Side& side, const std::string& document) const;
  Result<void> lift_guard(const Side& side) const;

  const Launcher* launcher_;  // both outlive this
  const Wanted* wanted_;
  Memory memory_;
  NftInventory inventory_;
  std::vector<Side> sides_;  // IPv4, then IPv6 if there is a back end for it
};

}  // namespace sockmesh::iptables
