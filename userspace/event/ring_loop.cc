#include "event/ring_loop.h"

#include <spdlog/spdlog.h>

#include <cassert>
#include <cerrno>
#include <cstdlib>
#include <utility>

namespace sockmesh::event {

namespace {

// Submissions of one turn; more are submitted in between. Completions get eight times as many.
constexpr unsigned kEntries = 1024;
// How long a burst's buffers stay resident after it.
constexpr auto kTrimAfter = std::chrono::seconds(1);
// user_data: an operation's address, or for its cancellation the address + 1. 0 is nobody's.
constexpr uint64_t kCancelBit = 1;

uint64_t tag_of(const UringOp& op) { return reinterpret_cast<uintptr_t>(&op); }

}  // namespace

Result<std::unique_ptr<Loop>> RingLoop::create() {
  SOCKMESH_CHECK(try_ring());
  SOCKMESH_TRY(ring, make_ring(kEntries));
  SOCKMESH_TRY(buffers, BufferRing::create(*ring));
  SOCKMESH_TRY(watches, EpollSet::create());
  SOCKMESH_TRY(posts, PostQueue::create());
  return std::unique_ptr<Loop>(
      new RingLoop(std::move(watches), std::move(posts), std::move(buffers), std::move(ring)));
}

RingLoop::RingLoop(EpollSet watches, PostQueue posts, BufferRing buffers, Ring ring)
    : LoopBase(std::move(watches), std::move(posts)), buffers_(std::move(buffers)), ring_(std::move(ring)) {
  trim_timer_ = timer([this] {
    trim_pending_ = false;
    buffers_.trim();
  });
}

RingLoop::~RingLoop() {
  if (enabled_) cancel_all();
  ring_.reset();
  // What another thread than the ring's own could not reap ended with the ring.
  while (in_flight_) end(*in_flight_, {.result = -ECANCELED});
}

// --- a turn ---

void RingLoop::begin_run() {
  enable();
  // By thread: so it is registered for the run and not for life. Without it every entry looks the ring up.
  io_uring_register_ring_fd(ring_.get());
}

void RingLoop::end_run() { io_uring_unregister_ring_fd(ring_.get()); }

void RingLoop::enable() {
  if (enabled_) return;
  if (const auto result = enable_ring(*ring_); !result) {
    spdlog::critical("{}", result.error().message);
    std::abort();
  }
  enabled_ = true;
}

void RingLoop::turn() {
  if (!watch_poll_.in_flight()) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_poll_add(sqe, watches().fd(), EPOLLIN);
    start(watch_poll_, sqe);
  }
  wait();
  turn_begins();

  // Those that were there after the wait; what handlers cause is for the next turn, so that timers get
  // theirs.
  for (unsigned left = io_uring_cq_ready(ring_.get()); left > 0; --left) {
    const auto cqe = take_cqe(*ring_);
    if (!cqe) break;
    handle(*cqe);
  }
  if (std::exchange(watch_poll_.due, false)) {
    watches().wait(0);
    watches().dispatch();
  }
  if (buffers_.trimmable()) trim_later();
}

void RingLoop::wait() {
  __kernel_timespec timeout{};
  __kernel_timespec* limit = nullptr;
  if (const auto left = until_next_timer()) {
    timeout.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(*left).count();
    timeout.tv_nsec = (*left % std::chrono::seconds(1)).count();
    limit = &timeout;
  }
  io_uring_cqe* cqe = nullptr;
  const int result = io_uring_submit_and_wait_timeout(ring_.get(), &cqe, 1, limit, nullptr);
  // ETIME: a timer is due. EINTR: a signal. EBUSY, EAGAIN: the kernel wants completions reaped, or memory,
  // first.
  if (result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY || result == -EAGAIN) return;
  spdlog::critical("{}", os_error("io_uring_enter", -result).message);
  std::abort();
}

void RingLoop::handle(const Cqe& cqe) {
  if (cqe.user_data == 0) return;
  auto& op = *reinterpret_cast<UringOp*>(static_cast<uintptr_t>(cqe.user_data & ~kCancelBit));

  if (cqe.user_data & kCancelBit) {
    op.cancelling_ = false;
    if (op.over_) {
      end(op, op.end_);
    } else if (cqe.res == -ENOENT || cqe.res == -EALREADY) {
      submit_cancel(op);  // it was just running, and armed itself again afterwards
    }
    return;
  }

  Completion completion{.result = cqe.res,
                        .last = !(cqe.flags & IORING_CQE_F_MORE),
                        .more_queued = (cqe.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0};
  if (cqe.flags & IORING_CQE_F_BUFFER) {
    const auto id = static_cast<uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    buffers_.taken(id, cqe.res > 0 ? static_cast<size_t>(cqe.res) : 0);
    completion.buffer = id;
  }
  if (!completion.last) {
    op.complete(completion);
  } else if (op.cancelling_) {
    op.over_ = true;
    op.end_ = completion;
  } else {
    end(op, completion);
  }
}

void RingLoop::end(UringOp& op, const Completion& completion) {
  if (op.previous_) op.previous_->next_ = op.next_;
  if (op.next_) op.next_->previous_ = op.previous_;
  if (in_flight_ == &op) in_flight_ = op.next_;
  op.previous_ = op.next_ = nullptr;
  op.in_flight_ = op.cancelling_ = op.over_ = false;
  const Completion last = completion;  // it may be op's own field
  op.complete(last);
}

void RingLoop::cancel_all() {
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
  sqe->user_data = 0;
  // Bounded: another thread than the ring's is refused, and then closing the ring has to do.
  for (int tries = 0; in_flight_ && tries < 100; ++tries) {
    __kernel_timespec timeout{.tv_sec = 0, .tv_nsec = 10'000'000};
    io_uring_cqe* cqe = nullptr;
    const int result = io_uring_submit_and_wait_timeout(ring_.get(), &cqe, 1, &timeout, nullptr);
    if (result < 0 && result != -ETIME && result != -EINTR) return;
    while (const auto taken = take_cqe(*ring_)) handle(*taken);
  }
}

void RingLoop::trim_later() {
  if (std::exchange(trim_pending_, true)) return;
  trim_timer_->set(kTrimAfter);
}

// --- operations ---

io_uring_sqe* RingLoop::next_sqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(ring_.get());
  if (sqe) return sqe;
  enable();
  io_uring_submit(ring_.get());
  sqe = io_uring_get_sqe(ring_.get());
  if (!sqe) {
    spdlog::critical("io_uring: the submission queue stays full");
    std::abort();
  }
  return sqe;
}

void RingLoop::start(UringOp& op, io_uring_sqe* sqe) {
  assert(!op.in_flight_);
  sqe->user_data = tag_of(op);
  op.in_flight_ = true;
  op.next_ = in_flight_;
  if (in_flight_) in_flight_->previous_ = &op;
  in_flight_ = &op;
}

void RingLoop::receive_multishot(UringOp& op, int fd) {
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
  sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = BufferRing::kGroup;
  start(op, sqe);
}

void RingLoop::send_now(UringOp& op, int fd, const std::byte* data, size_t size) {
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_send(sqe, fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  start(op, sqe);
}

void RingLoop::send_now(UringOp& op, int fd, const msghdr& message) {
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_sendmsg(sqe, fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  start(op, sqe);
}

void RingLoop::cancel(UringOp& op) {
  if (op.in_flight_ && !op.cancelling_) submit_cancel(op);
}

void RingLoop::submit_cancel(UringOp& op) {
  op.cancelling_ = true;
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_cancel64(sqe, tag_of(op), 0);
  sqe->user_data = tag_of(op) | kCancelBit;
}

}  // namespace sockmesh::event
