// Driver: one thread's share of the flows. It has slots, each with a port of the service for itself, and in a
// slot one flow after the other: dials as the client, accepts as the server, steps both ends, and judges the
// flow when both have ended and both agents have logged it.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/address.h"
#include "end.h"
#include "ledger.h"
#include "plan.h"

namespace sockmesh::stress {

// What is the same for all drivers of a run. `next` is the number of the flow to begin next.
struct Run {
  uint64_t seed = 1;
  std::vector<std::string_view> kinds;         // all when empty
  std::chrono::milliseconds patience{30'000};  // without a byte, pauses aside, a flow is stuck
  SocketAddress service4, service6;            // without port
  bool lossy = false;  // packets are lost: then an RST can be all that comes of what was sent before it
  Ledger* ledger = nullptr;

  std::atomic<uint64_t> next{0};
  uint64_t end = 0;                    // no flow of this number or above is begun
  std::atomic<bool> stop{false};       // begin no more flows
  std::atomic<bool> hurry{false};      // and give up those that run: they count as wrong, ...
  std::atomic<bool> abandoned{false};  // ... unless nobody wants to know any more

  std::atomic<uint64_t> flows{0}, bytes{0};
  struct Failure {
    uint64_t number;
    std::string kind, what, details;
  };
  std::mutex mutex;
  std::vector<Failure> failures;  // the first kFailuresKept; all are counted
  std::atomic<uint64_t> failed{0};
  std::map<std::string, uint64_t> failed_by_kind;
  static constexpr size_t kFailuresKept = 200;

  void failure(const FlowPlan& plan, std::string what, std::string details);
};

// A port with its sockets, listening in the server's namespace.
struct Listener {
  uint16_t port;
  Fd v4, v6;
};

class Driver {
 public:
  Driver(Run& run, std::vector<Listener> listeners);
  ~Driver();
  // Until there are no more flows to begin and all have ended. Call it in the client's network namespace.
  void drive();

 private:
  struct Slot;
  enum Which : uint64_t { kClient, kServer, kListener4, kListener6, kWhichCount };

  bool begin(Slot& slot);
  void accept_on(Slot& slot, int listener);
  void step(Slot& slot);
  void settle(Slot& slot);
  void arm(Slot& slot, Which which);
  void judge(Slot& slot);
  void look_for_stuck();
  void give_up(Slot& slot, const std::string& why);
  std::vector<Stream> neighbours(uint64_t number) const;
  std::string state_of(const Slot& slot) const;

  Run& run_;
  Fd epoll_;
  std::vector<std::unique_ptr<Slot>> slots_;
  Scratch scratch_;
  MonotonicTime now_{};
};

}  // namespace sockmesh::stress
