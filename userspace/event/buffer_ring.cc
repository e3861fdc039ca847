#include "event/buffer_ring.h"

#include <liburing.h>
#include <sys/mman.h>

#include <utility>

namespace sockmesh::event {

namespace {

// So many small messages in a row, and there is no bulk transfer at the moment.
constexpr unsigned kSmallOnes = 256;

// Anonymous pages, not resident before they are touched; nullptr when the system has none.
void* map_pages(size_t size) {
  void* pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  if (pages == MAP_FAILED) return nullptr;
  // A huge page would make 2 MiB resident for the first byte.
  madvise(pages, size, MADV_NOHUGEPAGE);
  return pages;
}

}  // namespace

BufferRing::BufferRing(unsigned buffers, unsigned line) : buffers_(buffers), line_(line), touched_(buffers) {}

BufferRing::BufferRing(BufferRing&& other) noexcept
    : buffers_(other.buffers_),
      line_(other.line_),
      memory_(std::exchange(other.memory_, nullptr)),
      ring_(std::exchange(other.ring_, nullptr)),
      in_line_(other.in_line_),
      in_use_(other.in_use_),
      free_(std::move(other.free_)),
      touched_(std::move(other.touched_)),
      dirty_(other.dirty_) {}

BufferRing::~BufferRing() {
  if (ring_) munmap(ring_, buffers_ * sizeof(io_uring_buf));
  if (memory_) munmap(memory_, buffers_ * kBufferSize);
}

Result<BufferRing> BufferRing::create(io_uring& ring, unsigned buffers, unsigned line) {
  BufferRing made(buffers, line);
  made.memory_ = static_cast<std::byte*>(map_pages(buffers * kBufferSize));
  made.ring_ = static_cast<io_uring_buf_ring*>(map_pages(buffers * sizeof(io_uring_buf)));
  if (!made.memory_ || !made.ring_) return fail(os_error("mapping receive buffers"));

  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uintptr_t>(made.ring_);
  registration.ring_entries = buffers;
  registration.bgid = kGroup;
  if (const int result = io_uring_register_buf_ring(&ring, &registration, 0); result < 0) {
    return fail(os_error("registering a buffer ring", -result));
  }
  io_uring_buf_ring_init(made.ring_);
  for (unsigned id = buffers; id > 0; --id) made.free_.push_back(static_cast<uint16_t>(id - 1));
  made.fill_line();
  return made;
}

void BufferRing::provide(uint16_t id) {
  io_uring_buf_ring_add(ring_, data(id), kBufferSize, id, io_uring_buf_ring_mask(buffers_), 0);
  io_uring_buf_ring_advance(ring_, 1);
  ++in_line_;
}

void BufferRing::fill_line() {
  while (in_line_ < line_ && !free_.empty()) {
    const uint16_t next = free_.back();
    free_.pop_back();
    provide(next);
  }
}

void BufferRing::taken(uint16_t id, size_t bytes) {
  --in_line_;
  ++in_use_;
  if (!touched_[id]) {
    touched_[id] = true;
    ++dirty_;
  }
  if (bytes > kBufferSize / 2) {
    line_ = kShortLine;
    small_ones_ = 0;
  } else if (++small_ones_ == kSmallOnes) {
    line_ = kLongLine;
  }
  fill_line();
}

void BufferRing::give_back(uint16_t id) {
  --in_use_;
  free_.push_back(id);
  fill_line();
}

void BufferRing::trim() {
  for (const uint16_t id : free_) {
    if (!touched_[id]) continue;
    touched_[id] = false;
    --dirty_;
    madvise(data(id), kBufferSize, MADV_DONTNEED);
  }
}

}  // namespace sockmesh::event
