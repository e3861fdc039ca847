#include "datapath/relay.h"

namespace sockmesh::datapath {

const char* to_string(Lane lane) {
  switch (lane) {
    case Lane::kEpoll:
      return "epoll";
    case Lane::kIoUring:
      return "io_uring";
    case Lane::kSkSkb:
      return "sk_skb";
    case Lane::kSkMsg:
      return "sk_msg";
  }
  return "";
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
