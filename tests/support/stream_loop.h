// StreamLoop: many checked streams in one epoll loop, with their tally. One thread.
#pragma once

#include <sys/epoll.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "test_support/streams.h"

namespace sockmesh::test {

struct Tally {
  uint64_t flows = 0;
  uint64_t failed = 0;
  uint64_t sent = 0;      // bytes
  uint64_t received = 0;  // bytes
  uint64_t resets = 0;
  std::vector<std::string> errors;  // the first kErrorsKept

  static constexpr size_t kErrorsKept = 5;
  void count_failure(std::string why);
};

class StreamLoop {
 public:
  StreamLoop();

  // Watches `fd` for input; wait() returns it. Not owned.
  void watch(int fd);
  // Takes over a connected (or still connecting, non-blocking) socket.
  void add(Fd socket, const EndPlan& plan, const EndPlan& peer = {});
  // Waits at most `limit`, moves the streams on, and returns the watched descriptors that have input.
  std::vector<int> wait(std::chrono::milliseconds limit);
  void resume();                         // all streams
  void give_up(const std::string& why);  // all streams
  bool all_holding() const;              // there are streams, and each of them holds

  size_t open() const { return streams_.size(); }
  const Tally& tally() const { return tally_; }
  Tally& tally() { return tally_; }

 private:
  struct Stream {
    StreamEnd end;
    uint32_t armed = 0;
  };
  void move_on(int fd);

  Fd epoll_;
  std::unordered_map<int, std::unique_ptr<Stream>> streams_;  // by descriptor
  std::vector<int> watched_;
  Tally tally_;
};

}  // namespace sockmesh::test
