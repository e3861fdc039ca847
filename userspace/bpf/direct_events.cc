// Reads a BPF ring buffer through libbpf, without its epoll: the caller's loop does the waiting.
#include "bpf/direct_events.h"

#include <bpf/libbpf.h>

#include <cstring>

namespace sockmesh::bpf {

DirectEvents::DirectEvents(const DirectMaps& maps, std::function<void(const direct_record&)> happened,
                           std::function<void()> lost_some)
    : maps_(maps),
      happened_(std::move(happened)),
      lost_some_(std::move(lost_some)),
      lost_(maps.adopted() ? 0 : maps.count(DIRECT_COUNT_LOST)) {}

Result<std::unique_ptr<DirectEvents>> DirectEvents::open(const DirectMaps& maps,
                                                         std::function<void(const direct_record&)> happened,
                                                         std::function<void()> lost_some) {
  std::unique_ptr<DirectEvents> self(new DirectEvents(maps, std::move(happened), std::move(lost_some)));
  self->reader_ = ring_buffer__new(maps.events_fd(), &DirectEvents::on_event, self.get(), nullptr);
  if (!self->reader_) return fail(os_error("mapping the ring of direct events"));
  return self;
}

DirectEvents::~DirectEvents() { ring_buffer__free(reader_); }

int DirectEvents::on_event(void* self, void* data, size_t size) {
  if (size < sizeof(direct_record)) return 0;
  direct_record record;
  std::memcpy(&record, data, sizeof record);
  static_cast<DirectEvents*>(self)->happened_(record);
  return 0;
}

void DirectEvents::consume() {
  ring_buffer__consume(reader_);
  // After emptying: whatever was lost before is counted by now, and what fits from now on is told.
  const uint64_t lost = maps_.count(DIRECT_COUNT_LOST);
  if (lost == lost_) return;
  lost_ = lost;
  lost_some_();
}

}  // namespace sockmesh::bpf
