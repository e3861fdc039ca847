// DirectEvents: what the programs tell of direct flows as it happens: opened, ended, failed. One reader a
// ring; the thread that consumes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "bpf/direct_maps.h"
#include "intf/direct.h"

struct ring_buffer;

namespace sockmesh::bpf {

class DirectEvents {
 public:
  // `happened` gets each record, `lost_some` means: any flow may have opened or ended unseen, look at
  // DirectMaps::open_flows(). Both run in consume(). `maps` must outlive this.
  static Result<std::unique_ptr<DirectEvents>> open(const DirectMaps& maps,
                                                    std::function<void(const direct_record&)> happened,
                                                    std::function<void()> lost_some);
  ~DirectEvents();
  DirectEvents(const DirectEvents&) = delete;
  DirectEvents& operator=(const DirectEvents&) = delete;

  int fd() const { return maps_.events_fd(); }  // readable (poll) while there is something to consume
  void consume();                               // empties the ring

 private:
  DirectEvents(const DirectMaps& maps, std::function<void(const direct_record&)> happened,
               std::function<void()> lost_some);
  static int on_event(void* self, void* data, size_t size);

  const DirectMaps& maps_;
  const std::function<void(const direct_record&)> happened_;
  const std::function<void()> lost_some_;
  uint64_t lost_ = 0;  // as last seen
  ring_buffer* reader_ = nullptr;
};

}  // namespace sockmesh::bpf
