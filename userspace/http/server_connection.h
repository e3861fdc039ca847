// ServerConnection: one client's connection as a state machine, without sockets, loops or clocks of its own.
//
//   reading ── a whole request ──▶ answering ── answer() ──▶ writing ──▶ lingering ──▶ closed
//      │  refused (400, 413, 431, ...), or late (408) ───────────▲           │
//      └─ nothing came in time, the client left ─────────────────────────────┴─▶ closed
//
// One request a connection: a client that keeps its connection open would hold a place that others wait for.
// Every state but `answering` has a deadline of its own, for the whole of what it waits for, so that a byte
// now and then gains nothing. Lingering: the client may still be sending (what we refused, for one), and
// closing on unread bytes would be RST, which takes the answer from it (RFC 9112, 9.6). Not thread-safe.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <string>

#include "base/clock.h"
#include "http/message.h"
#include "http/request_parser.h"

namespace sockmesh::http {

// The bytes' way. All as the system calls of that name: -1 with errno EAGAIN when it would block.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual ssize_t read(char* into, size_t size) = 0;
  virtual ssize_t write(const iovec* parts, int count) = 0;
  virtual void end_writing() = 0;  // FIN
};

struct ConnectionBounds {
  RequestBounds request;
  Duration request_time = std::chrono::seconds(5);  // accept to the request's last byte
  Duration answer_time = std::chrono::seconds(10);  // the answer's first byte to its last
  Duration linger_time = std::chrono::seconds(1);   // for the client's FIN after the answer
  size_t linger_bytes = 256 * 1024;                 // that are read and dropped while lingering
};

class ServerConnection {
 public:
  enum class State { kReading, kAnswering, kWriting, kLingering, kClosed };

  // `transport` and `bounds` outlive it.
  ServerConnection(Transport& transport, const ConnectionBounds& bounds, MonotonicTime now);

  State state() const { return state_; }
  bool wants_to_read() const { return state_ == State::kReading || state_ == State::kLingering; }
  bool wants_to_write() const { return state_ == State::kWriting; }
  MonotonicTime deadline() const { return deadline_; }  // max() while answering
  MonotonicTime moved() const { return moved_; }        // when the last byte went, or the state began

  // At most one read or write each, so that a busy peer does not hold the loop.
  void readable(MonotonicTime now);
  void writable(MonotonicTime now);
  void expired(MonotonicTime now);  // the deadline has come

  Request take_request() { return parser_.take_request(); }  // once, when the state becomes kAnswering
  void answer(Response response, MonotonicTime now);         // in kAnswering; elsewhere it does nothing
  const Response& response() const { return response_; }     // while writing

 private:
  void read_request(MonotonicTime now);
  void read_and_drop(MonotonicTime now);
  void begin_writing(Response response, MonotonicTime now);
  void enter(State state, MonotonicTime now, MonotonicTime deadline);

  Transport& transport_;
  const ConnectionBounds& bounds_;
  RequestParser parser_;
  State state_ = State::kReading;
  MonotonicTime deadline_, moved_;
  bool head_only_ = false;  // HEAD: the answer's headers alone

  Response response_;
  std::string head_;
  size_t part_ = 0, offset_ = 0;  // the next byte: of head_ (part 0), then of the body's parts
  size_t dropped_ = 0;
};

}  // namespace sockmesh::http
