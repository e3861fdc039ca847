// SpliceMaps: the process-wide objects of lane 1: the program, its sockmap, the records of all directions,
// the workers' rings, the kill switch. Made once at start-up, while the process still has its privileges, and
// given to every worker.
//
// Privileges: load() needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON. Afterwards none is needed: putting a
// socket into the sockmap and looking into it work on the descriptors alone, from any uid, unless the sysctl
// kernel.unprivileged_bpf_disabled is set on a kernel before 6.0. tests/kernel/bpf proves it.
//
// Thread rule: every method may be called from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/result.h"
#include "bpf/programs.h"
#include "intf/splice.h"

namespace sockmesh::bpf {

class SpliceMaps {
 public:
  struct Options {
    // Sockets that can be spliced at a time, a power of two; each costs 80 bytes of kernel memory. Two a
    // flow.
    uint32_t slots = 32768;
    uint32_t rings = 1;  // workers that want to be told of PASSing, at most SPLICE_MAX_RINGS
    // Bounds of what may wait for one target socket; 64 segments of at most 64 KiB, and 1.5 MiB in all on the
    // way to the target's peer; 512 more and 2 MiB while its source's own queue holds bytes of the other
    // direction (intf/splice.h). With the source's receive window (datapath/socket_bounds.h) a stalled reader
    // costs less than 8 MiB.
    uint32_t limit_skbs = 64;
    uint32_t limit_bytes = 2u << 20;
    SpliceProgram::Stall stall = {};  // for tests
  };
  static Result<std::unique_ptr<SpliceMaps>> load(const Options& options);
  ~SpliceMaps();
  SpliceMaps(const SpliceMaps&) = delete;
  SpliceMaps& operator=(const SpliceMaps&) = delete;

  // A slot is a direction's record and its source socket's place in the sockmap. claim() finds one that the
  // verdict will look for under this cookie, resets the record and marks it taken; it fails when all slots
  // the cookie may have are taken. release() when the socket is closed or never went in.
  struct Slot {
    uint32_t index;
    splice_direction* record;
  };
  Result<Slot> claim(uint64_t cookie);
  void release(Slot slot);
  Result<void> insert(Slot slot, int tcp_socket);  // never replaces a socket that is still there

  // The kill switch: while off, every spliced flow's bytes go through user space, in order. An operator's
  // wish and a failure are kept apart, since the first can be taken back.
  void set_enabled(bool enabled);
  bool enabled() const;
  // For good: something was seen that must not happen (docs/sockmap.md#the-safety-net). The first reason is
  // kept.
  void disable(std::string reason);
  std::string disabled_reason() const;  // "" while not disabled

  // A ring of one's own, for as long as it is not given back; nothing when all are leased.
  std::optional<uint32_t> lease_ring();
  void return_ring(uint32_t ring);
  uint32_t rings() const { return static_cast<uint32_t>(rings_.size()); }
  int ring_fd(uint32_t ring) const { return rings_[ring].get(); }  // a BPF ring buffer of splice_events
  bool take_lost(uint32_t ring);  // whether events were lost since the last call

  // What workers have to know of each other; kept here because this is what they share.
  struct Gauges {
    std::atomic<uint32_t> bulk_flows{0};  // flows that move bulk data at the moment, in either lane
    std::atomic<uint32_t> busy_flows{
        0};  // flows that exchange requests and answers at a rate, in either lane
    std::atomic<uint64_t> backlog_bytes{0};  // redirected bytes not yet in a send queue, as last seen
  };
  Gauges& gauges() { return gauges_; }

  struct Stats {
    uint64_t trimmed_skbs, trimmed_bytes, fins, broken, strangers, spared, behind;  // see splice_control
    uint32_t slots, slots_used;
  };
  Stats stats() const;
  const char* attach_type() const { return program_.attach_type(); }

 private:
  SpliceMaps(SpliceProgram program, const Options& options);
  Result<void> map_records();
  Result<void> make_rings(uint32_t count);
  void apply_switch() SOCKMESH_REQUIRES(mutex_);

  // constant after load()
  const Options options_;
  SpliceProgram program_;
  splice_direction* records_ = nullptr;  // options_.slots of them, shared with the kernel
  std::vector<Fd> rings_;

  Gauges gauges_;
  std::atomic<uint32_t> slots_used_{0};
  mutable Mutex mutex_;
  bool wanted_ SOCKMESH_GUARDED_BY(mutex_) = true;
  std::string disabled_reason_ SOCKMESH_GUARDED_BY(mutex_);
  std::vector<bool> leased_ SOCKMESH_GUARDED_BY(mutex_);  // rings
};

}  // namespace sockmesh::bpf
