// Relay: moves the bytes of one established connection pair until it ends, in whichever lane. One interface,
// one terminal outcome: `done` runs exactly once, from the loop, after both sockets were closed. A relay
// lives in the thread of its loop. Destroying a running relay resets both sides (RST) and does not call
// `done`.
//
// What every lane keeps (docs/sockmap.md): bytes exact and in order; half-close forwarded after the data
// before it; RST passed on as RST; what waits in us for a slow reader is bounded in each direction, by each
// lane in its own way (userspace/README.md#bounds); the byte counts are exact.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/fd.h"
#include "model/lane.h"

namespace sockmesh::event {
enum class Backend : uint8_t;  // event/loop.h
}

namespace sockmesh::datapath {

using model::Lane;
Lane copying_lane(event::Backend backend);  // lane 0, as loops of this kind do it

enum class CloseReason : uint8_t {
  kFinished,  // FIN both ways
  kIdleTimeout,
  kMaxDuration,
  kDownstreamReset,  // RST or a socket error on the client's side
  kUpstreamReset,
  kAborted,  // abort() was called: drain deadline, policy
};
const char* to_string(CloseReason reason);

struct RelayOptions {
  Duration idle_timeout = std::chrono::hours(1);  // both directions silent; zero: none
  Duration max_duration{};                        // from start(); zero: none
  size_t buffer_limit = 1 << 20;  // what lane 0 may hold of a direction: userspace/README.md#bounds
};

struct Progress {
  model::BytesByLane moved;
  Lane lane = Lane::kEpoll;
  std::string lane_reason;                                  // why this lane and not another, for people
  bool downstream_closed = false, upstream_closed = false;  // FIN seen from that side

  uint64_t received() const { return moved.total().received; }
  uint64_t sent() const { return moved.total().sent; }
};

struct Outcome {
  CloseReason reason = CloseReason::kFinished;
  Progress progress;   // final
  std::string detail;  // error text for resets, "" else
};

class Relay {
 public:
  virtual ~Relay() = default;
  virtual Progress progress() = 0;  // current counts, whichever lane counts them
  virtual void abort() = 0;         // reset both sides; `done` follows
};
using Done = std::function<void(const Outcome&)>;

// Sockets of one flow: connected, non-blocking, nothing read from either yet (peeking is fine).
struct Pair {
  Fd downstream, upstream;
};

// --- hand-over between lanes (docs/sockmap.md#the-steps, 1 and 2) ---

// The state in which lane 0 gives a flow away: nothing of it is held in user space any more.
struct Handover {
  Pair sockets;
  model::BytesByLane moved;
};

// Lane 0, complete in itself, able to give a flow away.
class UserRelay : public Relay {
 public:
  // Stops reading, reaps what is in flight, writes out all it holds, then calls `taken` with the sockets; the
  // relay is then empty and only to be destroyed (from `taken` or later). When an end of stream or an error
  // comes first, or a side is half-closed already, `taken` gets nullopt and the relay simply goes on.
  virtual void hand_over(std::function<void(std::optional<Handover>)> taken) = 0;
};

}  // namespace sockmesh::datapath
