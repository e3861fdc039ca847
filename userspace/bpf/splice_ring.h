// SpliceRing: a worker's view of its ring: which directions began to PASS. Thread: one reader a ring.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "bpf/splice_maps.h"

struct ring_buffer;

namespace sockmesh::bpf {

class SpliceRing {
 public:
  // `began` gets the slot of a direction; `lost_some` means: any direction may have begun. Both run in
  // consume(). `maps` must outlive this.
  static Result<std::unique_ptr<SpliceRing>> open(SpliceMaps& maps, uint32_t ring,
                                                  std::function<void(uint32_t slot)> began,
                                                  std::function<void()> lost_some);
  ~SpliceRing();

  int fd() const;  // readable (poll) while there is something to consume; level-triggered
  void consume();  // empties the ring

 private:
  SpliceRing(SpliceMaps& maps, uint32_t ring, std::function<void(uint32_t)> began,
             std::function<void()> lost);
  static int on_event(void* self, void* data, size_t size);

  SpliceMaps& maps_;
  const uint32_t ring_;
  const std::function<void(uint32_t)> began_;
  const std::function<void()> lost_some_;
  ring_buffer* reader_ = nullptr;
};

}  // namespace sockmesh::bpf
