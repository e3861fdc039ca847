// The access logs of the two agents, followed while they grow, and what they have to say of a flow. A flow is
// known by the port that its service is dialled at, which it has for itself while it lasts. Thread-safe.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "access_line.h"
#include "base/fd.h"
#include "base/result.h"

namespace sockmesh::stress {

struct Lines {
  test::AccessLine outbound, inbound;  // of the client's agent and of the server's
};

class Ledger {
 public:
  static Result<std::unique_ptr<Ledger>> open(const std::string& client_log, const std::string& server_log);

  void follow();                             // reads what was added since; call it every millisecond or so
  std::optional<Lines> take(uint16_t port);  // once both have come
  std::string have(uint16_t port);           // the lines that have come, for people
  std::string left_over();                   // lines that nobody took, "" if there are none

 private:
  struct Log {
    Fd file;
    std::string rest;      // of a line that is not complete yet
    uint64_t offset = 0;   // read so far
    uint64_t punched = 0;  // given back to the file system
    std::map<uint16_t, std::deque<test::AccessLine>> lines;
  };
  static void read_more(Log& log, std::mutex& mutex);

  std::array<Log, 2> logs_;
  std::mutex mutex_;  // of Log::lines
};

}  // namespace sockmesh::stress
