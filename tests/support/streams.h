// One end of a checked TCP stream: sends a pattern, verifies what it receives, and says afterwards whether
// every byte, every FIN and every RST was as planned. Works on any connected stream socket, never blocks.
//
// Each direction describes itself: its first 64 bytes are a header with the stream's id, its length and, from
// client to server, what the server is to do. So one server serves every kind of flow, and a direction that
// lost its tail is noticed by its receiver alone. Not thread-safe; ends are driven from one thread (run_ends,
// or the caller's own loop over wants() and step()).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"

namespace sockmesh::test {

constexpr uint64_t kHeaderBytes = 64;
constexpr uint64_t kReceiptBytes = 24;
constexpr uint64_t kNever = UINT64_MAX;

// What an end does with its socket. Byte counts are of the whole direction, header included: 0, or
// kHeaderBytes and more.
struct EndPlan {
  enum class End : uint8_t { kFin, kReset };

  uint64_t id = 0;                  // names the bytes it sends
  std::optional<uint64_t> peer_id;  // the id it has to receive; any when absent
  uint64_t send_bytes = 0;
  bool echo =
      false;  // sends back what it receives, and ends when the peer has ended; send_bytes is not looked at
  bool receipt =
      false;  // after the peer's FIN adds kReceiptBytes that say how much came in and whether it was right
  bool wants_receipt = false;
  bool wait_first =
      false;  // sends nothing before the peer's first byte (the client of a server-first protocol)
  bool wait_eof = false;   // sends nothing but its header before the peer's FIN
  End end = End::kFin;     // what follows its last byte: shutdown(SHUT_WR), or a close that sends RST
  uint64_t end_after = 0;  // and not before so many bytes came in
  bool peer_resets = false;
  bool learn = false;             // a server: takes the rest of its plan from the client's header
  uint32_t write_chunk = 65536;   // at most so many bytes per send(2)
  uint32_t read_chunk = 65536;    // and per recv(2)
  uint32_t read_pause_ms = 0;     // between two recv(2)
  uint64_t stall_after = kNever;  // stops reading once so many bytes are in, until resume()
  uint64_t hold_at = kNever;      // stops sending at this offset, until resume()
};

// What happened at an end so far.
struct EndReport {
  uint64_t sent = 0;
  uint64_t received = 0;
  std::optional<uint64_t> expected;  // the length in the peer's header, once it is known
  bool eof = false;
  bool reset = false;
  std::string error;  // the first thing that was wrong
};

class StreamEnd {
 public:
  // `peer` is what the other end is to do; it travels in the header, for a server that learns.
  StreamEnd(Fd socket, EndPlan plan, EndPlan peer = {});

  int fd() const { return socket_.get(); }
  bool done() const { return !socket_; }  // the socket is closed, the report final
  short wants() const;                    // poll(2) events to wait for; 0 while it holds or stalls
  bool holding() const;                   // waits for resume() and has nothing else to do
  // Milliseconds until it wants to read again; only while a read pause runs.
  std::optional<int> pause_left() const;
  void step();  // does what can be done without blocking
  void resume();
  void give_up(std::string why);  // closes, and reports `why`

  const EndPlan& plan() const { return plan_; }
  const EndReport& report() const { return report_; }
  // Empty if all went as planned, else what did not. Only after done().
  std::string verdict() const;

 private:
  void read_some();
  void write_some();
  void take(std::span<const std::byte> data);
  void take_header();
  void check_body(uint64_t offset, std::span<const std::byte> data);
  uint64_t planned() const;
  bool may_send() const;
  std::span<const std::byte> next_output();
  void finish_sending();
  void fail(std::string why);
  void socket_error(int err);

  Fd socket_;
  EndPlan plan_;
  EndPlan peer_;
  EndReport report_;
  std::vector<std::byte> header_in_;  // the first kHeaderBytes that came in
  std::vector<std::byte> tail_in_;    // the last kReceiptBytes, when a receipt is due
  std::vector<std::byte> echo_out_;   // at most kEchoLimit bytes
  size_t echo_done_ = 0;
  std::vector<std::byte> out_;
  uint64_t peer_id_ = 0;
  bool sending_ended_ = false;
  std::chrono::steady_clock::time_point next_read_{};
};

// Drives all `ends` with poll(2) until every one is done and returns the first verdict that is not empty,
// with the end's index in front. Those not done at the deadline give up. Returns "" early as soon as `until`
// says true.
std::string run_ends(std::span<StreamEnd* const> ends, std::chrono::milliseconds deadline,
                     const std::function<bool()>& until = {});

}  // namespace sockmesh::test
