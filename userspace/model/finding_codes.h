// FindingCode: what each code of a finding means, how bad it is, and what cures it: the one table that
// analyzers, compiler, agent, `sockmeshctl analyze --list-codes` and the README go by. Codes IST... and their
// levels are Istio's (istioctl analyze); those that begin with SM are ours: SM00 of a mesh, SM01 and SM02 of
// what is compiled for a proxy, SM03 of the agent. Pure, any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "model/snapshot.h"

namespace sockmesh::model {

struct FindingCode {
  std::string_view code;
  Severity severity;
  std::string_view meaning;
  std::string_view cure;
};

std::span<const FindingCode> finding_codes();                 // sorted by code
const FindingCode* find_finding_code(std::string_view code);  // nullptr: nobody finds that

// Of the level that goes with the code, which has to be in the table.
Finding make_finding(std::string_view code, OriginPtr object, std::string text);

}  // namespace sockmesh::model
