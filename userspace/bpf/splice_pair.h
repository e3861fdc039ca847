// SplicePair: the two sockets of one flow in the sockmap, their records, and the words exchanged with the
// verdict (bpf/intf/splice.h). A direction is named by the side its bytes come from. Nothing here waits or
// reads user data: the order of steps is the caller's (docs/sockmap.md#the-steps). Thread rule: one thread at
// a time.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/result.h"
#include "bpf/side.h"
#include "bpf/splice_maps.h"
#include "bpf/tcp_progress.h"

namespace sockmesh::bpf {

// Bytes that came from a side since insertion.
struct DirectionCounters {
  uint64_t redirected = 0;  // moved by the kernel
  uint64_t passed = 0;      // left to recv()
  uint64_t total() const { return redirected + passed; }
};

class SplicePair {
 public:
  // Step 3 and 4 of the insertion: SO_LINGER{1,0} on both sockets, so that a crash resets the flow instead of
  // cutting its tail off silently; two records, disarmed; and how far both send sides have come, exactly.
  // All that user space wrote before must have been taken by send(). The sockets stay the caller's.
  static Result<SplicePair> prepare(SpliceMaps& maps, int downstream, int upstream, uint32_t ring);
  SplicePair(SplicePair&& other) noexcept;
  SplicePair& operator=(SplicePair&&) = delete;
  ~SplicePair();  // disarms and gives the slots back; only after the sockets were closed, unless none went in

  // Step 5. A socket that is in stays in until it is closed: taking it out with unread data in it would wedge
  // it.
  Result<void> insert(Side side);
  bool inserted(Side side) const { return sides_[index(side)].inserted; }

  void arm();     // step 6: redirect from now on, where user space holds nothing
  void disarm();  // PASS from now on, or as soon as nothing waits in either queue
  bool armed() const { return armed_; }
  // Step 7: runs the verdict over bytes that were there before the insertion. An error is the socket's own;
  // the kernel tells it once, so the caller has to keep it.
  Result<void> kick(Side from) const;

  DirectionCounters counters(Side from) const;
  bool broken(Side from) const;                // the stream can't be trusted: reset the flow (SPLICE_BROKEN)
  splice_reason pass_reason(Side from) const;  // why PASSing began last time

  // Urgent data was seen: from there on the direction PASSes for ever, and one of the bytes that recv()
  // returns is the urgent one, which TCP would have kept out of the stream.
  bool urgent(Side from) const;
  // How many PASSed bytes lie between the first `taken` and the urgent byte, modulo 2^32: past it, a number
  // that no read can reach. Nothing while its place is not known.
  std::optional<uint32_t> urgent_after(Side from, uint64_t taken) const;

  uint32_t slot(Side from) const { return sides_[index(from)].slot.index; }

  // PASSed bytes that user space has written to the target. Call after send() took them. Returns what the
  // verdict has PASSed by then: when that is more than is published, there is more to read.
  uint64_t publish(Side from, uint64_t bytes);
  uint64_t consumed(Side from) const { return sides_[index(from)].consumed; }

  // Whether the target's send queue has got everything that was redirected or published; bytes still in the
  // backlog make it false.
  Result<bool> drained(Side from) const;
  Result<uint64_t> placed(
      Side from) const;  // bytes of this direction that have reached the target's send queue

 private:
  struct Half {
    SpliceMaps::Slot slot;
    int socket;
    PlacedSince placed;     // of this socket's send side
    uint64_t consumed = 0;  // of what came from this socket
    bool inserted = false;
  };
  static size_t index(Side side) { return static_cast<size_t>(side); }
  SplicePair(SpliceMaps& maps, Half downstream, Half upstream);
  void write_words();

  SpliceMaps* maps_;  // null when moved from
  std::array<Half, 2> sides_;
  bool armed_ = false;
};

}  // namespace sockmesh::bpf
