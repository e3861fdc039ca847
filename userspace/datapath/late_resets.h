// LateResets: closes sockets whose flow is over by RST, but not before their peers have what was sent to
// them.
//
// Whoever resets a connection takes back what the kernel has not sent yet, and the congestion window holds
// back the end of an answer in many small writes. A sender that resets behind its answer means the answer to
// arrive, so the RST waits for the acknowledgement of all bytes; not for a peer that stopped reading. Thread:
// the loop's.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "event/loop.h"

namespace sockmesh::datapath {

class LateResets {
 public:
  struct Limits {
    size_t sockets = 256;                                 // above it, RST at once
    Duration without_progress = std::chrono::seconds(2);  // longer than a segment or two sent again take
    Duration in_all = std::chrono::seconds(10);
  };

  explicit LateResets(event::Loop& loop) : LateResets(loop, Limits()) {}
  LateResets(event::Loop& loop, const Limits& limits);  // `loop` must outlive this
  ~LateResets();

  // The socket's bytes have all been written to it. When time is up its peer is reset, or, if the end of the
  // stream was among what was sent (`complete`), left to the kernel, which goes on delivering if we left
  // nothing unread.
  void close(Fd socket, bool complete);
  size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiting {
    Fd socket;
    bool complete;
    int pending;  // bytes that are not acknowledged, FIN being one
    MonotonicTime since, progress;
  };
  bool done(Waiting& one) const;
  static void give_up(const Waiting& one);

  event::Loop& loop_;
  const Limits limits_;
  std::vector<Waiting> waiting_;
  std::unique_ptr<event::Timer> timer_;
};

}  // namespace sockmesh::datapath
