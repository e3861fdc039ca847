// Rules as iptables text: the document for iptables-restore, and single rules as people know them. Pure.
#pragma once

#include <string>

#include "iptables/rules.h"

namespace sockmesh::iptables {

// "-o lo ! -d 127.0.0.1/32 -p tcp -j RETURN": the matches and the target, in Istio's spelling.
std::string rule_text(const Rule& rule, Family family);

// "-A ISTIO_OUTPUT ..." or "-I PREROUTING 1 ...".
std::string rule_command(const Rule& rule, Family family);

// What `iptables-restore --noflush` gets, byte for byte what istio-init hands to it but for the rule of
// docs/decisions/017-syn-before-divert.md: tables in alphabetical order, a blank after the star, -N for each
// chain of ours, the rules in creation order, COMMIT. Empty if there is no rule.
std::string restore_document(const Plan& plan, Family family);

// The part of the document between "* table" and COMMIT, for a larger transaction to embed.
std::string table_commands(const Plan& plan, Family family, Table table);

}  // namespace sockmesh::iptables
