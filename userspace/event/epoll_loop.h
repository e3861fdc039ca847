// The loop over epoll: no ring, no privileges, works everywhere.
#pragma once

#include "event/loop_base.h"

namespace sockmesh::event {

class EpollLoop final : public LoopBase {
 public:
  static Result<std::unique_ptr<Loop>> create();
  Backend backend() const override { return Backend::kEpoll; }

 private:
  using LoopBase::LoopBase;
  void turn() override;
};

}  // namespace sockmesh::event
