#include "datapath/flow_ends.h"

namespace sockmesh::datapath {

void FlowEnds::end(Side from) { ways_[index(from)].ended = true; }

void FlowEnds::pass_on(Side from) {
  ways_[index(from)].passed_on = true;
  if (failed_ ? from == failed_side_ : way(other(from)).passed_on) over_ = true;
}

void FlowEnds::fail(Side side, bool holding, std::string error) {
  if (over_ || failed(side)) return;
  closing_[0] = closing_[1] = Closing::kReset;
  if (failed_) {  // both have failed: nothing can be delivered any more
    over_ = true;
    return;
  }
  failed_ = true;
  failed_side_ = side;
  reason_ = side == Side::kDownstream ? CloseReason::kDownstreamReset : CloseReason::kUpstreamReset;
  error_ = std::move(error);
  // A side that had said FIN has sent all it wanted to send: that is still delivered, as Envoy flushes to the
  // upstream after the client is gone. Without a FIN, the RST says that the stream is broken, behind what
  // came of it.
  closing_[index(other(side))] =
      way(side).ended ? Closing::kResetUnlessPending : Closing::kResetOnceDelivered;
  const bool flush = way(side).ended && !way(side).passed_on && holding;
  over_ = !flush;
}

void FlowEnds::stop(CloseReason reason, bool holding) {
  if (over_) return;
  over_ = true;
  if (!failed_) {
    reason_ = reason;
    error_.clear();
  }
  const bool reset = failed_ || holding || reason == CloseReason::kAborted;
  closing_[0] = closing_[1] = reset ? Closing::kReset : Closing::kOrderly;
}

bool FlowEnds::reads(Side from) const { return !over_ && !failed_ && !way(from).ended; }

bool FlowEnds::moves(Side from) const {
  return !over_ && !way(from).passed_on && (!failed_ || from == failed_side_);
}

}  // namespace sockmesh::datapath
