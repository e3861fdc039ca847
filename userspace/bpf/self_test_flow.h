// SelfTestFlow: a whole spliced flow on loopback for the self-test, with both applications in our hands:
//
//   client ---- downstream | upstream ---- server
//
// The user lane here is the smallest that keeps the rules; the relays have their own, made for a loop.
// Not thread-safe.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "bpf/loopback_pair.h"
#include "bpf/splice_pair.h"

namespace sockmesh::bpf {

class SelfTestFlow {
 public:
  static Result<SelfTestFlow> open(SpliceMaps& maps);

  int application(Side side) const;  // client or server
  int socket(Side side) const;       // downstream or upstream
  Result<void> splice();             // steps 3 to 7 of the insertion
  SplicePair& pair() { return *pair_; }

  // Sends up to `bytes` of the pattern from that side's application; returns what the kernel took.
  uint64_t send(Side from, uint64_t bytes);
  // Reads what has come for the application on the other side and checks it.
  Result<uint64_t> receive(Side from);
  uint64_t sent(Side from) const { return ends_[static_cast<size_t>(from)].sent; }
  uint64_t received(Side from) const { return ends_[static_cast<size_t>(from)].received; }
  // So many bytes of this direction were read by our own hands, before the splice.
  void count_received(Side from, uint64_t bytes) { ends_[static_cast<size_t>(from)].received += bytes; }

  Result<void> pump();  // the user lane, as far as it goes without waiting
  // Pumps and runs `step` until it says true; fails, saying `what` was waited for, when nothing has moved for
  // 3 s, and after 15 s in any case.
  Result<void> until(std::string_view what, const std::function<Result<bool>()>& step);
  // Reads until `bytes` of the direction have arrived in all; more is an error.
  Result<void> await(std::string_view what, Side from, uint64_t bytes);

 private:
  struct End {
    uint64_t sent = 0, received = 0;  // of the direction that comes from this side
    std::vector<char> pending;        // read from this side's socket and not yet written to the other
    size_t written = 0;               // of `pending`
  };
  SelfTestFlow(SpliceMaps& maps, LoopbackPair down, LoopbackPair up);
  Result<void> pump(Side from);
  uint64_t moved() const;  // changes whenever a byte has gone anywhere

  SpliceMaps* maps_;
  // Sockets go before pair_, whose slots may be given back only when they are closed.
  std::optional<SplicePair> pair_;
  LoopbackPair down_, up_;
  std::array<End, 2> ends_;
};

}  // namespace sockmesh::bpf
