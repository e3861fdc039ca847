// Reads a BPF ring buffer through libbpf, without its epoll: the worker's loop does the waiting.
#include "bpf/splice_ring.h"

#include <bpf/libbpf.h>

#include <cerrno>

namespace sockmesh::bpf {

SpliceRing::SpliceRing(SpliceMaps& maps, uint32_t ring, std::function<void(uint32_t)> began,
                       std::function<void()> lost)
    : maps_(maps), ring_(ring), began_(std::move(began)), lost_some_(std::move(lost)) {}

Result<std::unique_ptr<SpliceRing>> SpliceRing::open(SpliceMaps& maps, uint32_t ring,
                                                     std::function<void(uint32_t)> began,
                                                     std::function<void()> lost_some) {
  if (ring >= maps.rings()) return fail("splice ring {}: expected less than {}", ring, maps.rings());
  std::unique_ptr<SpliceRing> self(new SpliceRing(maps, ring, std::move(began), std::move(lost_some)));
  self->reader_ = ring_buffer__new(maps.ring_fd(ring), &SpliceRing::on_event, self.get(), nullptr);
  if (!self->reader_) return fail(os_error("mapping a BPF ring buffer"));
  return self;
}

SpliceRing::~SpliceRing() { ring_buffer__free(reader_); }

int SpliceRing::fd() const { return maps_.ring_fd(ring_); }

int SpliceRing::on_event(void* self, void* data, size_t size) {
  if (size >= sizeof(splice_event))
    static_cast<SpliceRing*>(self)->began_(static_cast<splice_event*>(data)->slot);
  return 0;
}

void SpliceRing::consume() {
  ring_buffer__consume(reader_);
  // After emptying, never before: the verdict marks a loss while the ring is full, so the mark is seen either
  // now or after the event that did fit.
  if (maps_.take_lost(ring_)) lost_some_();
}

}  // namespace sockmesh::bpf
