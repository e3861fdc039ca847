// ChunkQueue: the received bytes of one direction that wait to be sent, in buffers of the ring. Small pieces
// are put together, so that a flow of single bytes holds few buffers. Thread: the ring's.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <vector>

#include "event/buffer_ring.h"

namespace sockmesh::datapath {

class ChunkQueue {
 public:
  explicit ChunkQueue(event::BufferRing& buffers) : buffers_(buffers) {}
  ChunkQueue(const ChunkQueue&) = delete;
  ChunkQueue& operator=(const ChunkQueue&) = delete;
  ~ChunkQueue() { clear(); }

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }                 // bytes
  void add(uint16_t buffer, size_t size);               // takes the buffer
  void add_copy(std::span<const std::byte> bytes);      // only while it holds no buffers, as after spill()
  size_t gather(std::span<iovec> into, size_t& bytes);  // the first pieces; how many, and their bytes
  void drop(size_t count);                              // from the front
  void clear();
  // Moves all bytes to memory of the queue's own and gives the buffers back. Nothing gathered may be in use.
  void spill();

 private:
  struct Chunk {
    uint16_t buffer;
    uint32_t begin, end;
  };

  event::BufferRing& buffers_;
  size_t size_ = 0;
  std::vector<std::byte> spilled_;  // before all chunks
  size_t spilled_begin_ = 0;
  std::vector<Chunk> chunks_;
};

}  // namespace sockmesh::datapath
