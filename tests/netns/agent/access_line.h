// An access-log line of the default text format, read back. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sockmesh::test {

struct AccessLine {
  std::string flags;
  uint64_t received = 0, sent = 0;  // bytes
  uint64_t duration = 0;            // ms
  std::string upstream, cluster, upstream_local, destination, client;
  std::string text;  // the whole line
};

// The lines of a log; what is not an access line is left out. Fields are counted from the end, where Istio's
// formats of before 1.8 and since agree.
std::vector<AccessLine> read_access_log(const std::string& log);

}  // namespace sockmesh::test
