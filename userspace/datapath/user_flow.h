// UserFlow: what the relays of lane 0 have in common, which is all but the way they move bytes: the sockets,
// the ends, the counts, the timers, and telling the outcome. Thread: the loop's.
#pragma once

#include <array>
#include <optional>

#include "datapath/flow_ends.h"
#include "datapath/relay.h"
#include "datapath/user_timers.h"
#include "event/watched_fd.h"

namespace sockmesh::datapath {

class LateResets;

using Taken = std::function<void(std::optional<Handover>)>;

class UserFlow {
 public:
  // `loop` and `late`, the worker's, must outlive this.
  UserFlow(event::Loop& loop, LateResets& late, Pair sockets, const RelayOptions& options, Lane lane,
           Done done);
  UserFlow(const UserFlow&) = delete;
  UserFlow& operator=(const UserFlow&) = delete;
  virtual ~UserFlow();  // resets both sides unless the outcome was told or the sockets were handed over

  Progress progress() const;

 protected:
  virtual void expired(CloseReason reason) = 0;

  event::WatchedFd& socket(Side side) { return sockets_[index(side)]; }
  int fd(Side side) const { return sockets_[index(side)].get(); }
  bool has_sockets() const { return static_cast<bool>(sockets_[index(Side::kDownstream)]); }
  void stop_watching();
  void received(Side from, size_t bytes);
  void sent(Side to, size_t bytes);

  bool handing_over() const { return taken_ != nullptr; }
  void begin_hand_over(Taken taken) { taken_ = std::move(taken); }
  // These three call out, and this object may be gone afterwards.
  bool refuse_hand_over();  // false: it is gone
  void hand_over_now();
  void tell_outcome();  // of ends(): closes both sockets and calls done

  void stop_timers() { timers_.reset(); }

  event::Loop& loop() { return loop_; }
  FlowEnds& ends() { return ends_; }
  const FlowEnds& ends() const { return ends_; }

 private:
  event::Loop& loop_;
  LateResets& late_resets_;
  std::array<event::WatchedFd, 2> sockets_;
  FlowEnds ends_;
  Progress progress_;
  Done done_;
  Taken taken_;
  std::optional<FlowTimers> timers_;
  bool* destroyed_ = nullptr;  // told by the destructor while somebody calls out
};

}  // namespace sockmesh::datapath
