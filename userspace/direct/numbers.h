// Numbers: small numbers for named things, as the kernel's tables know them. Who is held keeps its number
// from one generation of the tables to the next. A number that is given back waits until no flow remembers
// it, and for one generation at least, so that what the kernel still does by old tables counts for nobody
// else. As thread-safe as a map.
#pragma once

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "base/flat_map.h"

namespace sockmesh::direct {

// What open flows remember: each number in `numbers`, and whatever was in force since `since`.
struct Remembered {
  uint64_t since = 0;
  std::set<uint32_t> numbers;
};

template <typename Key>
class Numbers {
 public:
  Numbers() = default;
  // `remembered` by flows of an earlier process.
  explicit Numbers(const std::set<uint32_t>& remembered) : inherited_(remembered) {
    for (const uint32_t number : remembered) waiting_.push_back({0, number});
  }

  // Each call is paid back by let_go(). To replace a holder, hold first: then the number stays.
  uint32_t hold(const Key& key) {
    const auto found = held_.find(key);
    if (found != held_.end()) {
      ++found->second.users;
      return found->second.number;
    }
    const uint32_t number = free_number();
    held_.emplace(key, {number, 1});
    return number;
  }
  void let_go(const Key& key) {
    const auto found = held_.find(key);
    if (found == held_.end() || --found->second.users > 0) return;
    given_back_.push_back(found->second.number);
    held_.erase(found);
  }
  // The tables of `generation` are made. By default nobody remembers what is older than the one before.
  void end_generation(uint64_t generation, const Remembered& remembered) {
    std::erase_if(waiting_, [&](const Waiting& one) {
      if (one.last_of >= remembered.since || remembered.numbers.contains(one.number)) return false;
      free_.push_back(one.number);
      return true;
    });
    for (const uint32_t number : std::exchange(given_back_, {})) waiting_.push_back({generation - 1, number});
  }
  void end_generation(uint64_t generation) { end_generation(generation, {generation - 1, {}}); }

  size_t held() const { return held_.size(); }
  uint32_t bound() const { return next_; }  // every number ever given is below

 private:
  struct Entry {
    uint32_t number = 0, users = 0;
  };
  struct Waiting {
    uint64_t last_of;  // the last generation that had it
    uint32_t number;
  };
  uint32_t free_number() {
    if (free_.empty()) {
      while (inherited_.contains(next_)) ++next_;
      return next_++;
    }
    const uint32_t number = free_.back();
    free_.pop_back();
    return number;
  }

  const std::set<uint32_t> inherited_{};  // clang wants it said
  FlatMap<Key, Entry> held_;
  std::vector<Waiting> waiting_;
  std::vector<uint32_t> free_, given_back_;
  uint32_t next_ = 0;
};

}  // namespace sockmesh::direct
