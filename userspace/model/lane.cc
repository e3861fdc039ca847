#include "model/lane.h"

namespace sockmesh::model {

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
    case Lane::kDirect:
      return "direct";
  }
  return "";
}

}  // namespace sockmesh::model
