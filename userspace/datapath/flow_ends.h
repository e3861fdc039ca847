// FlowEnds: how a flow ends, in whichever lane, decided over plain values. A FIN is passed on after the bytes
// before it; an RST is passed on as an RST; a flow is over when nothing of it is left to move. Pure, any
// thread.
#pragma once

#include <string>

#include "bpf/side.h"
#include "datapath/relay.h"

namespace sockmesh::datapath {

using bpf::other;
using bpf::Side;
constexpr size_t index(Side side) { return static_cast<size_t>(side); }

// How to close a socket of a flow that is over.
enum class Closing : uint8_t {
  kOrderly,  // FIN (the kernel makes it an RST when we left bytes unread)
  kReset,    // RST now; what its peer has not got yet is lost
  // RST when what was sent has arrived (datapath/late_resets.h), and if it takes too long:
  kResetOnceDelivered,  // RST all the same, the stream is broken
  kResetUnlessPending,  // a plain close, the stream is whole: what is under way gets through, with its FIN
};

class FlowEnds {
 public:
  void end(Side from);      // its FIN was read
  void pass_on(Side from);  // ... and sent to the other side, after all bytes
  // Its socket failed, and what could be read from it was read. `holding`: bytes from it still wait here.
  void fail(Side side, bool holding, std::string error);
  // Ended by ourselves. `holding`: bytes wait here in either direction, so that a FIN would be a lie.
  void stop(CloseReason reason, bool holding);

  bool ended(Side from) const { return way(from).ended; }
  bool passed_on(Side from) const { return way(from).passed_on; }
  bool half_closed() const { return ended(Side::kDownstream) || ended(Side::kUpstream); }
  bool reads(Side from) const;  // more bytes are wanted from it
  bool moves(Side from) const;  // bytes from it still have somewhere to go
  bool failed(Side side) const { return failed_ && failed_side_ == side; }
  bool over() const { return over_; }

  // Of a flow that is over.
  CloseReason reason() const { return reason_; }
  const std::string& error() const { return error_; }
  Closing closing(Side side) const { return closing_[index(side)]; }

 private:
  struct Way {
    bool ended = false, passed_on = false;
  };
  const Way& way(Side from) const { return ways_[index(from)]; }

  Way ways_[2];
  bool over_ = false, failed_ = false;
  Side failed_side_ = Side::kDownstream;
  CloseReason reason_ = CloseReason::kFinished;
  std::string error_;
  Closing closing_[2] = {Closing::kOrderly, Closing::kOrderly};
};

}  // namespace sockmesh::datapath
