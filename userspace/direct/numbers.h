// Numbers: small numbers for named things, as the kernel's tables know them. Who is held keeps its number
// from one configuration to the next. A number that is given back waits for a whole generation before
// somebody else gets it, so that what the kernel still does by the tables of the generation before counts for
// nobody else. As thread-safe as a map.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/flat_map.h"

namespace sockmesh::direct {

template <typename Key>
class Numbers {
 public:
  // Each call is paid back by let_go(). To replace a holder, hold first: then the number stays.
  uint32_t hold(const Key& key) {
    const auto found = held_.find(key);
    if (found != held_.end()) {
      ++found->second.users;
      return found->second.number;
    }
    uint32_t number = next_;
    if (free_.empty()) {
      ++next_;
    } else {
      number = free_.back();
      free_.pop_back();
    }
    held_.emplace(key, {number, 1});
    return number;
  }
  void let_go(const Key& key) {
    const auto found = held_.find(key);
    if (found == held_.end() || --found->second.users > 0) return;
    given_back_.push_back(found->second.number);
    held_.erase(found);
  }
  // The tables of one configuration are made.
  void end_generation() {
    free_.insert(free_.end(), waiting_.begin(), waiting_.end());
    waiting_ = std::exchange(given_back_, {});
  }

  size_t held() const { return held_.size(); }
  uint32_t bound() const { return next_; }  // every number ever given is below

 private:
  struct Entry {
    uint32_t number = 0, users = 0;
  };
  FlatMap<Key, Entry> held_;
  std::vector<uint32_t> free_, waiting_, given_back_;
  uint32_t next_ = 0;
};

}  // namespace sockmesh::direct
