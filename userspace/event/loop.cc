#include "event/loop.h"

#include "event/epoll_loop.h"
#include "event/ring_loop.h"

namespace sockmesh::event {

Result<std::unique_ptr<Loop>> Loop::create(Backend backend) {
  return backend == Backend::kIoUring ? RingLoop::create() : EpollLoop::create();
}

}  // namespace sockmesh::event
