// NameCache: the last good answer for every host name that clusters need. The resolver writes it from the
// configuration thread, workers read it when they build their host lists. Any thread.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/address.h"

namespace sockmesh::upstream {

struct NameAnswer {
  std::vector<IpAddress> addresses;  // of the last good answer; kept when later lookups fail
  std::string error;                 // of the last lookup, "" when it succeeded
};
using NameAnswerPtr = std::shared_ptr<const NameAnswer>;

class NameCache {
 public:
  // Null: no lookup of this name has ended yet, so who needs it had better wait a little.
  NameAnswerPtr find(const std::string& name) const;
  void answered(const std::string& name, std::vector<IpAddress> addresses);
  void failed(const std::string& name, std::string error);
  void keep_only(const std::set<std::string>& names);

  // Moves on whenever some answer changed.
  uint64_t version() const { return version_.load(std::memory_order_acquire); }
  std::map<std::string, NameAnswerPtr> all() const;

 private:
  std::atomic<uint64_t> version_{1};
  mutable std::mutex mutex_;  // guards answers_
  std::map<std::string, NameAnswerPtr> answers_;
};

}  // namespace sockmesh::upstream
