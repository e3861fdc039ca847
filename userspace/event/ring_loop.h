// RingLoop: the loop over io_uring. One system call a turn submits what the turn before prepared and waits.
#pragma once

#include "event/loop_base.h"
#include "event/ring_setup.h"
#include "event/uring_loop.h"

namespace sockmesh::event {

class RingLoop final : public LoopBase, public UringLoop {
 public:
  // Runs the trial of ring_setup.h first; any failure is an error, and the caller takes epoll.
  static Result<std::unique_ptr<Loop>> create();
  ~RingLoop() override;

  Backend backend() const override { return Backend::kIoUring; }
  UringLoop* uring() override { return this; }

  void receive_multishot(UringOp& op, int fd) override;
  void send_now(UringOp& op, int fd, const std::byte* data, size_t size) override;
  void send_now(UringOp& op, int fd, const msghdr& message) override;
  void cancel(UringOp& op) override;
  BufferRing& buffers() override { return buffers_; }

 private:
  // Watches: the epoll set's descriptor is one more thing the ring waits for.
  struct WatchPoll final : UringOp {
    explicit WatchPoll(RingLoop& owner) : loop(owner) {}
    void complete(const Completion&) override { due = true; }
    RingLoop& loop;
    bool due = false;
  };

  RingLoop(EpollSet watches, PostQueue posts, BufferRing buffers, Ring ring);

  void begin_run() override;
  void end_run() override;
  void turn() override;
  void enable();
  void wait();
  void handle(const Cqe& cqe);
  void end(UringOp& op, const Completion& completion);
  io_uring_sqe* next_sqe();
  void start(UringOp& op, io_uring_sqe* sqe);
  void submit_cancel(UringOp& op);
  void cancel_all();
  void trim_later();

  BufferRing buffers_;  // outlives ring_: the kernel writes into them
  Ring ring_;
  bool enabled_ = false;
  UringOp* in_flight_ = nullptr;
  WatchPoll watch_poll_{*this};
  std::unique_ptr<Timer> trim_timer_;
  bool trim_pending_ = false;
};

}  // namespace sockmesh::event
