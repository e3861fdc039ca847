// NameCache: what is known of every host name that clusters need: the addresses in force, and how the lookups
// went. The resolver writes it from the configuration thread, workers read it when they build their host
// lists. What a lookup makes of what was known before is a pure function, after(). Any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace sockmesh::upstream {

// What asking for one kind of record (A or AAAA) came to.
struct FamilyLookup {
  enum class Outcome : uint8_t {
    kNotAsked,  // the pod has no address of this family
    kPending,   // not answered yet; the other one is, and need not wait
    kAddresses,
    kEmpty,   // an answer: there are none (NOERROR without records, NXDOMAIN)
    kFailed,  // no answer: SERVFAIL, REFUSED, a timeout
  };
  Outcome outcome = Outcome::kNotAsked;
  std::vector<IpAddress> addresses;  // kAddresses
  std::chrono::seconds ttl{0};       // the smallest one; 0: not told
  std::string error;                 // kEmpty, kFailed: in words
};
struct Lookup {
  FamilyLookup v4, v6;
};

// How the last lookup ended.
enum class NameState : uint8_t { kPending, kAnswered, kEmpty, kFailing };
const char* to_string(NameState state);  // "pending", "answered", "empty", "failing"

struct NameAnswer {
  std::vector<IpAddress> addresses;  // in force: IPv4, then IPv6
  // Those of the last answer that had any. LOGICAL_DNS goes on with them when there are none any more, as
  // Envoy's does.
  std::vector<IpAddress> last_addresses;
  NameState state = NameState::kPending;
  std::string error;  // of the last lookup: of all, or of the one family that failed ("AAAA: ..."); or ""
  MonotonicTime answered{};  // when the last answer came, empty or not; the epoch: never
  // Ended lookups, of which so many brought addresses, nothing, no answer.
  uint64_t attempts = 0, with_addresses = 0, empties = 0, failures = 0;
  uint32_t in_vain = 0;  // in a row: without addresses
};
using NameAnswerPtr = std::shared_ptr<const NameAnswer>;

// What is known after a lookup. An empty answer is an answer: the addresses of that family are gone, as with
// Envoy's STRICT_DNS (NXDOMAIN too: envoy PR 21027). A failure is none: they stay, even when the other family
// was answered.
NameAnswer after(const NameAnswer& before, const Lookup& lookup, MonotonicTime now);

class NameCache {
 public:
  // Null: no lookup of this name has ended yet, so who needs it had better wait a little.
  NameAnswerPtr find(const std::string& name) const;
  // Returns what is known from now on.
  NameAnswerPtr looked_up(const std::string& name, const Lookup& lookup, MonotonicTime now);
  void keep_only(const std::set<std::string>& names);

  // Moves on whenever some answer changed for those who dial.
  uint64_t version() const { return version_.load(std::memory_order_acquire); }
  std::map<std::string, NameAnswerPtr> all() const;

 private:
  std::atomic<uint64_t> version_{1};
  mutable Mutex mutex_;
  std::map<std::string, NameAnswerPtr> answers_ SOCKMESH_GUARDED_BY(mutex_);
};

}  // namespace sockmesh::upstream
