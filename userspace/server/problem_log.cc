#include "server/problem_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string_view>

#include "base/one_line.h"

namespace sockmesh::server {

bool ProblemLog::may_log(MonotonicTime now) {
  const auto back = static_cast<size_t>((now - given_back_) / kLinePause);
  if (back >= spent_) {
    spent_ = 0;
    given_back_ = now;
  } else {
    spent_ -= back;
    given_back_ += back * kLinePause;
  }
  if (spent_ >= kBurst) return false;
  ++spent_;
  return true;
}

std::vector<std::string> ProblemLog::lines(const std::vector<std::string>& problems, size_t total,
                                           const std::string& where, MonotonicTime now) {
  total = std::max(total, problems.size());
  std::vector<uint64_t> present;
  present.reserve(problems.size());
  for (const std::string& problem : problems) present.push_back(std::hash<std::string_view>()(problem));

  std::vector<std::string> out;
  size_t fresh = 0;
  for (size_t i = 0; i < problems.size(); ++i) {
    if (std::binary_search(known_.begin(), known_.end(), present[i])) continue;
    ++fresh;
    if (out.size() < kLinesALoad && may_log(now)) out.push_back(one_line(problems[i]));
  }
  // Those beyond the list are news when there are more of them than there were.
  const size_t unlisted = total - problems.size();
  const size_t known_unlisted = known_total_ - known_.size();
  if (unlisted > known_unlisted) fresh += unlisted - known_unlisted;
  std::sort(present.begin(), present.end());
  known_ = std::move(present);
  known_total_ = total;

  const size_t rest = fresh - out.size();
  if (rest == 0 && silent_problems_ == 0) return out;
  suppressed_ += rest;
  if (!may_log(now)) {
    silent_problems_ += rest;
    silent_loads_ += rest > 0 ? 1 : 0;
    return out;
  }
  std::string line;
  if (rest > 0) line = fmt::format("and {} more problems in this load, {} in all", rest, total);
  if (silent_problems_ > 0)
    line += fmt::format("{}{} problems of {} loads before were not logged", line.empty() ? "" : "; ",
                        silent_problems_, silent_loads_);
  silent_problems_ = silent_loads_ = 0;
  out.push_back(line + "; " + where);
  return out;
}

}  // namespace sockmesh::server
