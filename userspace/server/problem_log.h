// ProblemLog: which problems of a configuration become lines of the log. A folder of garbage has as many
// problems as lines, and may be written again twenty times a second; the log is for what is new, and is
// bounded in both directions: so many lines a load, and so many over time, whatever the folder does. What is
// not logged is counted, and said to be so in one line. Pure over the times it is given; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace sockmesh::server {

class ProblemLog {
 public:
  static constexpr size_t kLinesALoad = 20;  // problems; one more line counts the rest
  static constexpr size_t kBurst = 60;       // lines at once, after a quiet time, over several loads
  static constexpr Duration kLinePause = std::chrono::seconds(1);  // so often one more: 3,600 lines an hour

  // The lines for a load with these problems, in their order: those that the load before did not have, as far
  // as the bounds go. `total` counts all problems, also those that are not in the list. `where` says where to
  // find all of them.
  std::vector<std::string> lines(const std::vector<std::string>& problems, size_t total,
                                 const std::string& where, MonotonicTime now);
  uint64_t suppressed() const { return suppressed_; }  // problems that were new and not logged, ever

 private:
  bool may_log(MonotonicTime now);

  std::vector<uint64_t> known_;  // hashes of the problems of the last load, sorted
  size_t known_total_ = 0;
  size_t spent_ = 0;  // lines that kLinePause did not give back yet
  MonotonicTime given_back_{};
  size_t silent_loads_ = 0;  // loads since the last line that had something to say
  uint64_t silent_problems_ = 0, suppressed_ = 0;
};

}  // namespace sockmesh::server
