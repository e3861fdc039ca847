// Commotion: what goes on around the flows at random moments. Switches the agents' kernel lanes off and on,
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
  Commotion(World& world, uint64_t seed, bool lanes);
  ~Commotion();  // ends it, with the lanes on
  uint64_t switches() const { return switches_; }
  uint64_t changes() const { return changes_; }

 private:
  void run();
  void ask(size_t agent, const std::string& method, const std::string& target);

  World& world_;
  Random random_;
  const bool lanes_;
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
