// BufferRing: the receive buffers that a ring hands out by itself when bytes arrive (provided buffers), so
// that an idle connection owns none. Thread: the ring's.
//
// The kernel takes buffers in the order in which they were provided, and a long line of them would touch them
// all in turn: 16 MiB resident for a single quiet connection. So only some are in line at a time, the
// rest lie on a stack and the last one given back is the first to be provided again. What a burst has touched
// beyond that is returned to the system by trim().
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

struct io_uring;
struct io_uring_buf_ring;

namespace sockmesh::event {

class BufferRing {
 public:
  static constexpr uint16_t kGroup = 0;
  // Large, for what bulk transfers save by it (measured: a quarter less CPU time than 16 KiB); a small
  // message makes no more than one page of its buffer resident.
  static constexpr size_t kBufferSize = 32 * 1024;
  static constexpr unsigned kBuffers = 512;  // 16 MiB of addresses; resident is what is in use
  // In line at a time: as many as kLongLine while small messages arrive, so that hundreds of connections get
  // theirs in one turn, and kShortLine as soon as buffers come back full. 768 KiB, as this is also the most
  // that one receive can bring in before anyone looks at it: a multishot receive stops for nothing else.
  static constexpr unsigned kShortLine = 24;
  static constexpr unsigned kLongLine = 128;

  static Result<BufferRing> create(io_uring& ring, unsigned buffers = kBuffers, unsigned line = kShortLine);
  BufferRing(BufferRing&& other) noexcept;
  BufferRing& operator=(BufferRing&&) = delete;
  ~BufferRing();  // after the ring itself is gone

  std::byte* data(uint16_t id) const { return memory_ + id * kBufferSize; }
  // The kernel has put `bytes` into buffer `id` (a completion said so): it is the caller's, and others move
  // up.
  void taken(uint16_t id, size_t bytes);
  void give_back(uint16_t id);

  unsigned in_use() const { return in_use_; }
  // Few are left: whoever holds buffers for a reader that does not read should copy the bytes away.
  bool scarce() const { return in_use_ > buffers_ - buffers_ / 4; }
  bool trimmable() const { return dirty_ > 2 * kLongLine; }
  // Gives the memory of buffers that lie on the stack back to the system.
  void trim();

 private:
  BufferRing(unsigned buffers, unsigned line);
  void provide(uint16_t id);
  void fill_line();

  unsigned buffers_;
  unsigned line_;            // how many are to be in line
  unsigned small_ones_ = 0;  // arrived in a row
  std::byte* memory_ = nullptr;
  io_uring_buf_ring* ring_ = nullptr;
  unsigned in_line_ = 0;
  unsigned in_use_ = 0;
  std::vector<uint16_t> free_;  // neither in line nor in use; the top was used last
  std::vector<bool> touched_;   // by id: may have resident pages
  unsigned dirty_ = 0;          // how many are touched
};

}  // namespace sockmesh::event
