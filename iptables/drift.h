// Drift: what differs between the rules that run and the rules that are wanted, and the documents that remove
// or replace them. Istio counts rules; here their text and order are compared too, and rules of others that
// were put into our chains or ahead of them are found. Pure.
#pragma once

#include <string>
#include <vector>

#include "iptables/memory.h"
#include "iptables/rules.h"
#include "iptables/saved_state.h"

namespace sockmesh::iptables {

struct Finding {
  enum class Kind : uint8_t {
    kMissingChain,
    kUnexpectedChain,
    kMissingRule,
    kUnexpectedRule,  // in a chain of ours, or a jump to one
    kWrongOrder,
    kForeignAhead,  // a rule of somebody else was put ahead of ours in a built-in chain since ours were
                    // written
    kForeignSeen,   // the same, but it may have been there first: a remark, not drift
  };
  Kind kind;
  Family family;
  std::string table, chain;
  std::string text;  // the rule, or empty
  bool is_drift() const { return kind != Kind::kForeignSeen; }
};

// "IPv4 nat ISTIO_OUTPUT: missing rule: -d 127.0.0.1/32 -j RETURN"
std::string to_string(const Finding& finding);

// One family's rules as they run, and what is needed to read them.
struct Running {
  Family family;
  const SavedState& state;
  const Memory& memory;
  const GroupIds& groups;
};

std::vector<Finding> compare(const Plan& plan, const Running& running);

// Whether any chain of ours exists.
bool has_own_chains(const SavedState& state);

// For `iptables-restore --noflush`: takes out every rule and chain of ours and nothing else. `plan` tells
// which rules of the built-in chains are ours; jumps to our chains are taken out whether planned or not.
std::string removal_document(const Plan& plan, const Running& running);

// The same, and the planned rules in their place, in one swap a table: there is no moment without them. Only
// tables with a finding are touched. Rules that belong into a built-in chain go ahead of those of others that
// came later.
std::string rebuild_document(const Plan& plan, const Running& running, const std::vector<Finding>& findings);

// Takes ours out as they run now and puts them back as `before` shows them, without touching anybody else's
// rules.
std::string restoration_document(const Plan& plan, const Running& running, const SavedState& before);

}  // namespace sockmesh::iptables
