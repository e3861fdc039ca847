// SockmapDirection: the user-space half of one direction of a spliced flow, as a state machine without
// waiting: reads what the verdict PASSed, writes it in its place in the stream, finds the end of the stream,
// waits for the backlog to drain, shuts the target down. Who waits for what is said by the step it returns;
// the flow does the waiting (datapath/sockmap_flow.h).
//
// The order of bytes rests on one rule: read first, then look at `redirected`, wait until the target's send
// queue has got that much and all written before, write, publish (docs/sockmap.md#read-first-then-look). From
// the first PASSed byte until publication the verdict redirects nothing, so the number looked at stays right.
//
// An urgent byte is left out, as recv() on a socket outside of the map leaves it out.
//
// Thread rule: that of its flow.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "bpf/splice_pair.h"

namespace sockmesh::datapath {

class SockmapDirection {
 public:
  enum class Step : uint8_t {
    kIdle,     // the kernel moves the bytes; told by the ring when it stops to
    kInput,    // until the source is readable
    kOutput,   // until the target is writable
    kSoon,     // look again in a millisecond: a backlog is draining, or the queue behind it has not come up
    kMore,     // nothing: its share of this turn is used up
    kEnded,    // the end was passed on; nothing more to do, ever
    kDrained,  // the source has failed, and what it had sent before is in the target's send queue
    // error() says why:
    kSourceLost,  // call source_has_failed(), and go on
    kTargetLost,
    kUnusable,  // bytes are missing from the stream: reset the flow
  };

  // `source` and `target` are the sockets of `from` and the other side; pair and sockets must outlive this.
  SockmapDirection(bpf::SplicePair& pair, bpf::Side from, int source, int target);

  // Goes on as far as it can. `scratch` is memory of the worker, only used during the call; at least 64 KiB.
  Step advance(std::span<char> scratch);
  void source_has_ended() { look_for_end_ = true; }  // EPOLLRDHUP was seen: find the end of the stream
  void source_was_shut_down() { source_shut_down_ = true; }  // FIN was sent to it
  bool looks_for_end() const { return look_for_end_; }       // then EPOLLRDHUP need not be watched any more
  // What came from the source before it failed is still passed on: to kDrained, or, when its FIN was seen
  // before, to kEnded.
  void source_has_failed() { source_failed_ = true; }

  // Every byte goes through recv(): not in the sockmap, or disarmed. Then kInput takes kIdle's place.
  bool copies() const { return !pair_.armed() || !pair_.inserted(from_); }
  bool end_seen() const { return end_seen_; }  // FIN arrived, and all bytes before it are accounted for
  bool ended() const { return ended_; }        // and was passed on
  const Error& error() const { return error_; }

  // One reading of the counters, consistent in itself: what is redirected is a part of what is received or
  // sent, and what is sent was received. From one call to the next none of them falls.
  struct Counts {
    uint64_t received = 0;         // bytes of the stream that came from the source
    uint64_t redirected = 0;       // of them redirected
    uint64_t sent = 0;             // bytes known to be in the target's send queue, or beyond
    uint64_t redirected_sent = 0;  // of them redirected
  };
  Counts counts();
  // Redirected bytes that wait for the target's worker, an upper bound; remembers when there were none.
  uint64_t backlog() { return backlog_of(pair_.counters(from_).redirected); }
  uint64_t copied() const { return taken() - held() - skipped_; }  // read and written to the target
  uint64_t unread() const;                                         // PASSed, and not returned by recv() yet
  // Bytes have come that are not in the target's send queue.
  bool holding() {
    const Counts now = counts();
    return now.received > now.sent;
  }

 private:
  Step read(std::span<char> scratch);
  Step write(std::span<const char> bytes);  // the rest goes to pending_
  Step write_pending();
  Step send_from(std::span<const char>& bytes);
  Step finish();
  Step wait(Step step, std::span<char> scratch);
  ssize_t receive(std::span<char> into);
  uint64_t backlog_of(uint64_t redirected);
  bool backlog_drained() { return backlog() == 0; }
  uint64_t held() const { return pending_.size() - pending_done_; }
  // PASSed bytes that were read, whatever became of them.
  uint64_t taken() const { return pair_.consumed(from_) + written_ + held(); }
  bool more_passed() const { return pair_.counters(from_).passed > pair_.consumed(from_); }
  Step lost(Step step, Error error);
  Step unusable();

  bpf::SplicePair& pair_;
  const bpf::Side from_;
  const int source_, target_;

  std::vector<char> pending_;  // read and not yet written; one scratch buffer, but see wait()
  size_t pending_done_ = 0;    // of pending_, what is written
  uint64_t written_ = 0;       // written and not yet published
  uint64_t skipped_ = 0;       // urgent bytes, left out; consumed, but in nobody's stream
  uint64_t placed_ = 0;        // bytes known to have reached the target's send queue
  uint64_t drained_at_ = 0;    // the `redirected` that the target was last seen to have got
  bool look_for_end_ = false;
  bool source_failed_ = false;
  bool source_shut_down_ = false;
  bool end_seen_ = false;
  bool ended_ = false;
  Error error_;
};

}  // namespace sockmesh::datapath
