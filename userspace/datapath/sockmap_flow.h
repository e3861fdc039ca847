// SockmapFlow: a flow whose sockets are in the sockmap, from the insertion to the last byte.
//
//     client ---- downstream == verdict ==> upstream ---- server
//                      \                    ^
//                       recv() -> send() --/     only what the verdict PASSed
//
// In steady state nothing here runs: the kernel moves the bytes, and each socket is watched for its end
// alone. When the verdict begins to PASS, the worker's ring tells, and the direction
// (datapath/sockmap_direction.h) copies until it has caught up. Ends: FIN both ways, each passed on after its
// backlog has drained; a reset or an error on either side, which resets the other after what had come before;
// what the owner decides (idle, deadline, abort). How the sockets are closed then is decided for all lanes in
// datapath/flow_ends.h.
//
// Thread rule: that of the loop. The owner may destroy the flow at any time, from `ended` too; a flow
// destroyed while it runs resets both sides.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "datapath/flow_ends.h"
#include "datapath/relay.h"
#include "datapath/sockmap_direction.h"
#include "datapath/sockmap_insertion.h"
#include "event/watched_fd.h"

namespace sockmesh::datapath {

class SockmapLane;

class SockmapFlow {
 public:
  // Runs once, after both sockets were closed; `progress` is final.
  using Ended = std::function<void(CloseReason reason, std::string detail, const Progress& progress)>;

  SockmapFlow(SockmapLane& lane, Pair sockets, Inserted inserted, Ended ended);
  ~SockmapFlow();
  SockmapFlow(const SockmapFlow&) = delete;
  SockmapFlow& operator=(const SockmapFlow&) = delete;

  void start();  // from here on `ended` may run, from the loop
  void look();   // something may have been PASSed
  // Redirect or copy. A flow of which only one side went into the map always copies, and so does one that has
  // shown urgent data.
  void redirect(bool wanted);
  bool redirecting() const { return pair_->armed(); }
  // "" when it can be redirected; else why it never will be.
  const std::string& copied_because() const { return copied_because_; }
  // Of this flow's time; consistent, and never less than told before. Without a reason for the lane.
  Progress progress();

  // FIN to both sides when nothing is under way and this is no abort, else RST; then `ended`.
  void close(CloseReason reason, std::string detail);
  // The watchdog; call it every few hundred milliseconds while bytes move.
  enum class Health : uint8_t {
    kFine,
    kOverBudget,  // too many redirected bytes wait in the kernel, some of them of this flow: don't redirect
    kStuck,       // redirected bytes do not move although their target takes bytes: close the flow
  };
  Health health();
  // Redirected bytes that waited for a kernel worker at the last call of health().
  uint64_t backlog_seen() const { return gauge_backlog_; }

 private:
  using Step = SockmapDirection::Step;
  struct Watched {  // what a socket is watched for, and its backlog seen last
    uint32_t events = 0;
    bool hung_up = false;  // no longer watched: the kernel would report it for ever
    uint64_t backlog = 0, placed = 0;
    MonotonicTime stuck_since{};
  };
  // A side whose socket failed; what had come from it before is being passed on.
  struct Failed {
    Side side;
    std::string error;
    MonotonicTime since;
  };
  event::WatchedFd& owned(Side side) { return sockets_[index(side)]; }
  int socket(Side side) { return owned(side).get(); }
  SockmapDirection& direction(Side from) { return directions_[index(from)]; }
  Watched& watched(Side side) { return watched_[index(side)]; }

  void on_ready(Side side, uint32_t events);
  void run();
  void wait_for(Step down, Step up);
  void lost(Side side, const Error& error);
  void pass_on_rest(Step step);
  Duration patience();
  uint64_t gauge(uint64_t backlog);
  void finish(std::string detail);
  void release(const FlowEnds& how);

  SockmapLane& lane_;
  std::array<event::WatchedFd, 2> sockets_;
  std::optional<bpf::SplicePair> pair_;
  std::string copied_because_;
  Ended ended_;
  std::array<SockmapDirection, 2> directions_;
  std::array<Watched, 2> watched_;
  std::array<std::optional<Error>, 2> failed_early_;  // before start()
  std::optional<Failed> failed_;
  FlowEnds ends_;
  std::unique_ptr<event::Timer> soon_;
  uint64_t gauge_backlog_ = 0;  // what of gauges().backlog_bytes is ours
};

}  // namespace sockmesh::datapath
