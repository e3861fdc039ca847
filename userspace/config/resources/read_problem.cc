#include "config/resources/read_problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace sockmesh::config {

std::string ReadProblem::to_string() const {
  std::string out = line > 0 ? fmt::format("{}:{}: ", file, line) : file + ": ";
  if (!object.empty()) out += object + ": ";
  if (!field.empty()) out += field + ": ";
  out += text;
  if (object_dropped) out += " (object left out)";
  return printable(out, 1000);
}

bool ProblemList::add(ReadProblem problem) {
  ++count;
  if (first.size() == kMaxProblems) return false;
  first.push_back(std::move(problem));
  return true;
}

void ProblemList::add_all(const ProblemList& others) {
  const size_t room = std::min(kMaxProblems - first.size(), others.first.size());
  first.insert(first.end(), others.first.begin(), others.first.begin() + static_cast<ptrdiff_t>(room));
  count += others.count;
}

}  // namespace sockmesh::config
