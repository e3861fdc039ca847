// Commotion: what goes on around the flows at random moments. Switches the agents' kernel lanes off and on,
// lane 3 of the client's agent where it has one,
// changes their configuration, asks what sockmeshctl asks; and processes that want the processor all the
// time.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "world.h"

namespace sockmesh::stress {

class Commotion {
 public:
  enum class Lanes : uint8_t { kNone, kSplice, kSpliceAndDirect };
  Commotion(World& world, uint64_t seed, Lanes lanes);
  ~Commotion();  // ends it, with the lanes on
  uint64_t switches() const { return switches_; }
  uint64_t changes() const { return changes_; }

 private:
  void run();
  // "/v1/splice" or "/v1/direct", and of which agent.
  std::pair<size_t, std::string> pick_lane();
  void ask(size_t agent, const std::string& method, const std::string& target);

  World& world_;
  Random random_;
  const Lanes lanes_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> switches_{0}, changes_{0};
  std::thread thread_;
};

class Load {
 public:
  explicit Load(unsigned processes);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

 private:
  std::vector<pid_t> pids_;
};

}  // namespace sockmesh::stress
