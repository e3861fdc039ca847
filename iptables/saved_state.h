// SavedState: what iptables-save printed, as values; and the normal form in which a rule we want and a rule
// the kernel prints back can be compared although they are spelled differently. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "iptables/rules.h"

namespace sockmesh::iptables {

struct SavedRule {
  std::string chain;
  std::string body;  // as printed after "-A CHAIN "
  bool operator==(const SavedRule&) const = default;
};

struct SavedTable {
  std::string name;
  std::vector<std::string> chains;  // declared, in the order printed
  std::vector<SavedRule> rules;
  std::string text;  // the table's lines, counters included, from "*name" to "COMMIT"

  bool has_chain(std::string_view chain) const;
  std::vector<const SavedRule*> in_chain(std::string_view chain) const;
};

struct SavedState {
  std::vector<SavedTable> tables;
  const SavedTable* find(std::string_view table) const;
};

// Comments and lines that are none of a save's are skipped.
SavedState parse_save(std::string_view text);

// The save without comments and counters: two states are the same rules if and only if these are equal.
std::string without_counters(std::string_view text);

bool is_own_chain(std::string_view chain);  // "ISTIO_..."

// The chain or target after -j, or empty.
std::string target_of(std::string_view body);

// A rule's matches and target in one spelling: sorted matches, options that only repeat a default left out,
// numbers decimal, addresses masked, group names as numbers where known. Equal forms are equal rules; what is
// not understood is kept as it stands, so it can only make forms differ.
using GroupIds = std::map<std::string, uint32_t>;
std::string normal_form(std::string_view body, const GroupIds& groups);

}  // namespace sockmesh::iptables
