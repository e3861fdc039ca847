// Counters: what is counted, where, and how it is read. One worker writes (plain loads and stores, no locked
// instruction), any thread reads. Series are made on first use and never removed, so a table has a bound;
// what comes after the bound is counted together under kOverflowKey, so that sums stay true.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/mutex.h"

namespace sockmesh::telemetry {

// One number with one writing thread. A gauge never goes below 0: its ups and downs are all in that thread.
class Counter {
 public:
  void add(uint64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void subtract(uint64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
  }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// The four of Istio, per label set (istio_labels.h).
enum class TcpMetric : uint8_t { kOpened, kClosed, kSent, kReceived, kCount };

// Envoy's `cluster.<name>.*`, per cluster.
enum class ClusterMetric : uint8_t {
  kCxTotal,             // connection attempts
  kCxActive,            // gauge: established and open
  kConnectFail,         // attempts that failed, timeouts included
  kAttemptsExceeded,    // connections given up after the last attempt (URX)
  kOverflow,            // maxConnections reached (UO)
  kNoneHealthy,         // no selectable host (UH)
  kRxBytes,             // read from the upstream
  kTxBytes,             // written to the upstream
  kDestroyRemote,       // established connections ended by an RST of the upstream
  kMaxDurationReached,  // ended by maxConnectionDuration (DT)
  kCount
};

// Envoy's `listener.<addr>.*`, per listener that took the connection.
enum class ListenerMetric : uint8_t {
  kCxTotal,
  kCxActive,            // gauge
  kNoFilterChainMatch,  // NR
  kCount
};

template <typename Metric>
class CounterSet {
 public:
  Counter& operator[](Metric metric) { return counters_[static_cast<size_t>(metric)]; }
  const Counter& operator[](Metric metric) const { return counters_[static_cast<size_t>(metric)]; }

 private:
  std::array<Counter, static_cast<size_t>(Metric::kCount)> counters_;
};
template <typename Metric>
using Totals = std::array<uint64_t, static_cast<size_t>(Metric::kCount)>;

inline constexpr std::string_view kOverflowKey = "sockmesh-overflow";

// Counter sets by key. The owner's thread finds and makes entries, whose addresses stay valid as long as the
// table; other threads only add_to().
template <typename Metric>
class SeriesTable {
 public:
  explicit SeriesTable(size_t bound) : bound_(bound) {}

  CounterSet<Metric>& at(const std::string& key) SOCKMESH_UNCHECKED_LOCKING {
    // Only this thread changes the map, so that looking needs no lock; inserting does, because of readers.
    if (const auto found = sets_.find(key); found != sets_.end()) return *found->second;
    const Lock lock(inserting_);
    const std::string& name = sets_.size() < bound_ ? key : overflow_;
    auto& set = sets_[name];
    if (!set) set = std::make_unique<CounterSet<Metric>>();
    return *set;
  }

  void add_to(std::map<std::string, Totals<Metric>>& totals) const {
    const Lock lock(inserting_);
    for (const auto& [key, set] : sets_) {
      auto& total = totals[key];
      for (size_t i = 0; i < total.size(); ++i) total[i] += (*set)[static_cast<Metric>(i)].value();
    }
  }

 private:
  const size_t bound_;  // entries, the overflow entry comes on top
  const std::string overflow_{kOverflowKey};
  // Against readers: only the owner's thread changes the map.
  mutable Mutex inserting_;
  std::unordered_map<std::string, std::unique_ptr<CounterSet<Metric>>> sets_ SOCKMESH_GUARDED_BY(inserting_);
};

// Sums over all workers, ready for exposition: plain values, in a stable order.
struct CounterTotals {
  std::map<std::string, Totals<TcpMetric>> tcp;             // by istio_labels key
  std::map<std::string, Totals<ClusterMetric>> clusters;    // by cluster name
  std::map<std::string, Totals<ListenerMetric>> listeners;  // by listener name
};

}  // namespace sockmesh::telemetry
