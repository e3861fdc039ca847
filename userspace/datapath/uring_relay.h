// Lane 0 over io_uring: a multishot receive a side brings bytes into buffers of the ring, one send a
// direction takes them on. Thread: the loop's.
#pragma once

#include <memory>

#include "datapath/relay.h"
#include "event/loop.h"

namespace sockmesh::datapath {

class LateResets;
class UringFlow;

// The handle. The flow behind it outlives it until the kernel has let go of its sockets and buffers.
class UringRelay final : public UserRelay {
 public:
  // The loop has a ring: loop.uring() is not null.
  UringRelay(event::Loop& loop, LateResets& late, Pair sockets, const RelayOptions& options, Done done);
  ~UringRelay() override;

  Progress progress() override;
  void abort() override;
  void hand_over(std::function<void(std::optional<Handover>)> taken) override;

 private:
  std::shared_ptr<UringFlow> flow_;
};

}  // namespace sockmesh::datapath
