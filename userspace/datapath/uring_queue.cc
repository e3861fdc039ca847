#include "datapath/uring_queue.h"

#include <algorithm>
#include <cstring>

namespace sockmesh::datapath {

namespace {
// Copying this much costs less than an entry of a gathered send.
constexpr size_t kSmallPiece = 512;
}  // namespace

void ChunkQueue::add(uint16_t buffer, size_t size) {
  size_ += size;
  if (size <= kSmallPiece && !chunks_.empty()) {
    Chunk& last = chunks_.back();
    if (last.end + size <= event::BufferRing::kBufferSize) {
      // Behind what may be on its way to the socket: a send in flight covers the bytes before `end` only.
      std::memcpy(buffers_.data(last.buffer) + last.end, buffers_.data(buffer), size);
      last.end += static_cast<uint32_t>(size);
      buffers_.give_back(buffer);
      return;
    }
  }
  chunks_.push_back({buffer, 0, static_cast<uint32_t>(size)});
}

void ChunkQueue::add_copy(std::span<const std::byte> bytes) {
  spilled_.insert(spilled_.end(), bytes.begin(), bytes.end());
  size_ += bytes.size();
}

size_t ChunkQueue::gather(std::span<iovec> into, size_t& bytes) {
  size_t count = 0;
  bytes = 0;
  const auto put = [&](std::byte* data, size_t size) {
    into[count++] = {data, size};
    bytes += size;
  };
  if (spilled_begin_ < spilled_.size())
    put(spilled_.data() + spilled_begin_, spilled_.size() - spilled_begin_);
  for (const Chunk& chunk : chunks_) {
    if (count == into.size()) break;
    put(buffers_.data(chunk.buffer) + chunk.begin, chunk.end - chunk.begin);
  }
  return count;
}

void ChunkQueue::drop(size_t count) {
  size_ -= count;
  const size_t spilled = std::min(count, spilled_.size() - spilled_begin_);
  spilled_begin_ += spilled;
  count -= spilled;
  if (spilled_begin_ == spilled_.size() && !spilled_.empty()) {
    spilled_ = {};
    spilled_begin_ = 0;
  }
  size_t done = 0;
  while (count > 0) {
    Chunk& first = chunks_[done];
    const size_t taken = std::min<size_t>(count, first.end - first.begin);
    first.begin += static_cast<uint32_t>(taken);
    count -= taken;
    if (first.begin < first.end) break;
    buffers_.give_back(first.buffer);
    ++done;
  }
  chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<ptrdiff_t>(done));
}

void ChunkQueue::clear() {
  for (const Chunk& chunk : chunks_) buffers_.give_back(chunk.buffer);
  chunks_ = {};
  spilled_ = {};
  spilled_begin_ = size_ = 0;
}

void ChunkQueue::spill() {
  std::vector<std::byte> all(spilled_.begin() + static_cast<ptrdiff_t>(spilled_begin_), spilled_.end());
  all.reserve(size_);
  for (const Chunk& chunk : chunks_) {
    const std::byte* data = buffers_.data(chunk.buffer);
    all.insert(all.end(), data + chunk.begin, data + chunk.end);
    buffers_.give_back(chunk.buffer);
  }
  chunks_ = {};
  spilled_ = std::move(all);
  spilled_begin_ = 0;
}

}  // namespace sockmesh::datapath
