#include "event/ring_setup.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd.h"
#include "event/buffer_ring.h"

// Younger than liburing 2.3's headers on some systems, older than any kernel that passes the trial.
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

namespace sockmesh::event {

Result<Ring> make_ring(unsigned entries) {
  // 6.1 and later; 6.0; 5.19; the rest.
  constexpr unsigned kFlagSets[] = {
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN |
          IORING_SETUP_SUBMIT_ALL,
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
      IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
      0,
  };
  int result = -EINVAL;
  for (const unsigned flags : kFlagSets) {
    auto ring = std::make_unique<io_uring>();
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED;
    params.cq_entries = entries * 8;
    result = io_uring_queue_init_params(entries, ring.get(), &params);
    if (result == 0) {
      Ring owned(ring.release());
      // Completions that find the queue full wait in the kernel; waiting takes its timeout as an argument.
      constexpr unsigned kNeeded = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_FAST_POLL;
      if ((params.features & kNeeded) != kNeeded) {
        return fail("io_uring: features {:#x} lack some of {:#x}", params.features, kNeeded);
      }
      return owned;
    }
    if (result != -EINVAL) break;
  }
  return fail(os_error("io_uring_setup", -result));
}

Result<void> enable_ring(io_uring& ring) {
  if (syscall(__NR_io_uring_register, ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0) < 0) {
    return fail(os_error("enabling an io_uring"));
  }
  return {};
}

std::optional<Cqe> take_cqe(io_uring& ring) {
  io_uring_cqe* cqe = nullptr;
  if (io_uring_peek_cqe(&ring, &cqe) != 0 || !cqe) return std::nullopt;
  const Cqe taken{.user_data = cqe->user_data, .res = cqe->res, .flags = cqe->flags};
  io_uring_cqe_seen(&ring, cqe);
  return taken;
}

namespace {

class Trial {
 public:
  explicit Trial(io_uring& ring) : ring_(ring) {}

  io_uring_sqe* sqe() { return io_uring_get_sqe(&ring_); }

  // Submits, waits for one completion at most a second (io_uring that is emulated may lose one) and gives it.
  Result<Cqe> next() {
    __kernel_timespec second{.tv_sec = 1, .tv_nsec = 0};
    io_uring_cqe* cqe = nullptr;
    const int result = io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &second, nullptr);
    if (result < 0 && result != -ETIME) return fail(os_error("io_uring trial: waiting", -result));
    const auto taken = take_cqe(ring_);
    if (!taken) return fail("io_uring trial: no completion came");
    return *taken;
  }

 private:
  io_uring& ring_;
};

enum : uint64_t { kReceive = 1, kSend, kPoll, kCancel };

}  // namespace

Result<void> try_ring() {
  SOCKMESH_TRY(ring, make_ring(8));
  SOCKMESH_TRY(buffers, BufferRing::create(*ring, 2, 2));
  // Ends before the buffers do, whichever way we leave.
  const Ring used = std::move(ring);
  SOCKMESH_CHECK(enable_ring(*used));
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) {
    return fail(os_error("socketpair"));
  }
  const Fd left{ends[0]}, right{ends[1]};
  const Fd epoll{epoll_create1(EPOLL_CLOEXEC)};
  epoll_event writable{.events = EPOLLOUT, .data = {}};
  if (!epoll || epoll_ctl(epoll.get(), EPOLL_CTL_ADD, left.get(), &writable) < 0) {
    return fail(os_error("epoll for the io_uring trial"));
  }

  Trial trial(*used);
  io_uring_sqe* sqe = trial.sqe();
  io_uring_prep_recv_multishot(sqe, right.get(), nullptr, 0, 0);
  sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = BufferRing::kGroup;
  sqe->user_data = kReceive;
  sqe = trial.sqe();
  io_uring_prep_send(sqe, left.get(), "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  sqe->user_data = kSend;
  sqe = trial.sqe();
  io_uring_prep_poll_add(sqe, epoll.get(), EPOLLIN);
  sqe->user_data = kPoll;

  for (int seen = 0; seen < 3; ++seen) {
    SOCKMESH_TRY(cqe, trial.next());
    if (cqe.res != 1) return fail("io_uring trial: operation {} gave {}", cqe.user_data, cqe.res);
    if (cqe.user_data != kReceive) continue;
    const unsigned id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
    if (!(cqe.flags & IORING_CQE_F_BUFFER) || !(cqe.flags & IORING_CQE_F_MORE) || id > 1 ||
        *buffers.data(static_cast<uint16_t>(id)) != std::byte{'x'}) {
      return fail("io_uring trial: a multishot receive gave flags {:#x}", cqe.flags);
    }
  }

  sqe = trial.sqe();
  io_uring_prep_cancel64(sqe, kReceive, 0);
  sqe->user_data = kCancel;
  for (int seen = 0; seen < 2; ++seen) {
    SOCKMESH_TRY(cqe, trial.next());
    const int expected = cqe.user_data == kReceive ? -ECANCELED : 0;
    if (cqe.res != expected) return fail("io_uring trial: cancelling gave {}", cqe.res);
  }
  return {};
}

}  // namespace sockmesh::event
