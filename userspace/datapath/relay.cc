#include "datapath/relay.h"

#include "event/loop.h"

namespace sockmesh::datapath {

Lane copying_lane(event::Backend backend) {
  return backend == event::Backend::kIoUring ? Lane::kIoUring : Lane::kEpoll;
}

const char* to_string(CloseReason reason) {
  switch (reason) {
    case CloseReason::kFinished:
      return "finished";
    case CloseReason::kIdleTimeout:
      return "idle timeout";
    case CloseReason::kMaxDuration:
      return "maximum duration";
    case CloseReason::kDownstreamReset:
      return "reset by downstream";
    case CloseReason::kUpstreamReset:
      return "reset by upstream";
    case CloseReason::kAborted:
      return "aborted";
  }
  return "";
}

}  // namespace sockmesh::datapath
