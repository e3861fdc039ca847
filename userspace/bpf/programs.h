// SpliceProgram: bpf/splice.bpf.c, loaded and attached to its sockmap. The only place that knows the
// skeleton. Thread rule: load once, then the accessors may be called from any thread; the memory behind them
// follows the one-writer rule of intf/splice.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "intf/splice.h"

namespace sockmesh::bpf {

class SpliceProgram {
 public:
  // How often the verdict lets time pass between two of its steps, and how much at most: for tests alone,
  // which make so what one flow in millions would meet.
  struct Stall {
    uint32_t percent = 0;
    Duration longest{};  // at most kLongestStall: the segment's socket is locked meanwhile
  };
  static constexpr Duration kLongestStall = std::chrono::milliseconds(1);

  // `slots` is a power of two: sockets that can be spliced at a time. Needs CAP_BPF, CAP_NET_ADMIN and
  // CAP_PERFMON in the initial user namespace; the error says so where the kernel says EPERM. Takes some
  // 10 ms.
  static Result<SpliceProgram> load(uint32_t slots, Stall stall);
  SpliceProgram(SpliceProgram&&) noexcept;
  SpliceProgram& operator=(SpliceProgram&&) noexcept;
  ~SpliceProgram();  // closes all descriptors; sockets that are still enrolled keep the program until they
                     // close

  int sockets_fd() const;           // the sockmap
  int directions_fd() const;        // array of splice_direction, mmapable
  int rings_fd() const;             // array of ring buffers
  const char* attach_type() const;  // "SK_SKB_VERDICT" or "SK_SKB_STREAM_VERDICT": what the kernel took
  splice_control* control() const;  // shared memory, as long as this lives

 private:
  struct Skeleton;
  explicit SpliceProgram(std::unique_ptr<Skeleton> skeleton);
  std::unique_ptr<Skeleton> skeleton_;
};

}  // namespace sockmesh::bpf
