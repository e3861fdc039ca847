// UringLoop: the operations of a ring loop, for code that moves many bytes. Everything here belongs to the
// loop's thread, from within run().
//
// Lifetime, the one rule: the kernel knows an operation by its address, so a started UringOp, its descriptor
// and the memory it names stay until complete() was called with `last`. Whoever wants to be rid of one calls
// cancel() and waits for that; it always comes, at the latest while the loop is being destroyed.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

#include "event/buffer_ring.h"

namespace sockmesh::event {

struct Completion {
  int32_t result = 0;        // a byte count, or a negative errno
  bool last = true;          // nothing more comes from this operation
  int buffer = -1;           // received into this buffer of the ring: now the handler's, to be given back
  bool more_queued = false;  // receive: the socket had more bytes than fitted
};

class UringOp {
 public:
  UringOp() = default;
  UringOp(const UringOp&) = delete;
  UringOp& operator=(const UringOp&) = delete;
  bool in_flight() const { return in_flight_; }
  bool cancelling() const { return cancelling_; }
  virtual ~UringOp() = default;  // never in flight

 private:
  friend class RingLoop;
  virtual void complete(const Completion& completion) = 0;  // may start it again when `last`

  UringOp* previous_ = nullptr;  // the loop's list of operations in flight
  UringOp* next_ = nullptr;
  bool in_flight_ = false;
  bool cancelling_ = false;  // a cancellation is in flight as well
  bool over_ = false;        // ended, told after the cancellation ended too
  Completion end_;           // what is then told
};

class UringLoop {
 public:
  // Receives again and again into buffers of the ring until an error, an end of stream, or cancel(). ENOBUFS:
  // the line of buffers was empty for a moment, to be started again. It waits first and does not try the
  // socket.
  virtual void receive_multishot(UringOp& op, int fd) = 0;
  // Sends what the socket takes at once and completes with the count or EAGAIN: never in flight for longer
  // than one turn, so that a reader that does not read pins no buffers.
  virtual void send_now(UringOp& op, int fd, const std::byte* data, size_t size) = 0;
  virtual void send_now(UringOp& op, int fd, const msghdr& message) = 0;
  // No-op unless in flight. Completions that were on their way still come, with their data.
  virtual void cancel(UringOp& op) = 0;

  virtual BufferRing& buffers() = 0;

 protected:
  ~UringLoop() = default;
};

}  // namespace sockmesh::event
