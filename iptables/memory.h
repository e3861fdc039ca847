// Memory: what was in the namespace before our first rule, so that a clean-up, which is another process on
// another day, can give back exactly that. The init container's files are gone by then and iptables keeps no
// record, so the notes live in the kernel beside the rules: names of empty chains in an nft table of their
// own, "sockmesh-init", which no packet ever meets. Without nft (a machine with legacy iptables only) nothing
// is remembered: clean-up then leaves empty built-in chains behind, and rules put ahead of ours cannot be
// told from earlier ones.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "iptables/backend.h"
#include "iptables/saved_state.h"

namespace sockmesh::iptables {

struct Memory {
  bool available = false;       // nft can keep notes here
  std::set<std::string> notes;  // see remember()

  bool written() const { return !notes.empty(); }
  // Whether a foreign rule stood in a built-in chain before ours came.
  bool knows(Family family, std::string_view table, const SavedRule& rule) const;
};

// The iptables tables as nft sees them: "v4-nat" for a table, "v4-nat-OUTPUT" for a chain; whether it is in
// use: a chain with a rule or a policy, a table with a chain.
using NftInventory = std::map<std::string, bool>;

// One `nft list ruleset`, read.
struct NftView {
  Memory memory;
  NftInventory inventory;
};
NftView parse_nft_ruleset(std::string_view listing);  // pure
NftView look_at_nft(const Launcher& launcher);        // memory not available if there is no nft

// What the notes would say of absence, for a change that is taken back before any were written.
Memory absence(const NftInventory& inventory);

// Writes the notes: "begin", "v4-absent-nat" and "v4-absent-nat-OUTPUT" for what `inventory` lacks of the
// tables we may touch, "v4-foreign-nat-OUTPUT-HASH" for each rule in the built-in chains of `v4` and `v6`.
// Notes of an earlier apply keep what they say of absence: our rules were flushed since, but tables and
// chains that were ours stayed.
Result<void> remember(const Launcher& launcher, Memory& memory, const NftInventory& inventory,
                      const SavedState& v4, const SavedState& v6);

// Removes the built-in chains and tables that the notes call absent and that nobody uses now, then the notes.
// Pure; for `nft -f`.
std::string forgetting_script(const Memory& memory, const NftInventory& now);
void forget(const Launcher& launcher, const Memory& memory);

}  // namespace sockmesh::iptables
