#include "http/server_connection.h"

#include <array>
#include <cerrno>

namespace sockmesh::http {

namespace {

constexpr size_t kReadSize = 16384;
constexpr size_t kWriteParts = 8;          // of an answer, in one write
constexpr size_t kWriteSize = 256 * 1024;  // bytes in one write

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

ServerConnection::ServerConnection(Transport& transport, const ConnectionBounds& bounds, MonotonicTime now)
    : transport_(transport),
      bounds_(bounds),
      parser_(bounds.request),
      deadline_(now + bounds.request_time),
      moved_(now) {}

void ServerConnection::enter(State state, MonotonicTime now, MonotonicTime deadline) {
  state_ = state;
  moved_ = now;
  deadline_ = deadline;
}

void ServerConnection::readable(MonotonicTime now) {
  if (state_ == State::kReading) return read_request(now);
  if (state_ == State::kLingering) read_and_drop(now);
}

void ServerConnection::read_request(MonotonicTime now) {
  std::array<char, kReadSize> bytes;
  const ssize_t got = transport_.read(bytes.data(), bytes.size());
  if (got < 0 && would_block()) return;
  // A FIN before the request is whole: nobody is left who could be told.
  if (got <= 0) return enter(State::kClosed, now, MonotonicTime::max());
  moved_ = now;
  switch (parser_.feed({bytes.data(), static_cast<size_t>(got)})) {
    case RequestParser::State::kMore:
      return;
    case RequestParser::State::kContinue: {
      // The first bytes on a fresh connection: they fit, or the client is gone.
      static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      const iovec piece{const_cast<char*>(kContinue.data()), kContinue.size()};
      if (transport_.write(&piece, 1) != static_cast<ssize_t>(kContinue.size()))
        enter(State::kClosed, now, MonotonicTime::max());
      return;
    }
    case RequestParser::State::kRefused:
      return begin_writing(parser_.refusal(), now);
    case RequestParser::State::kComplete:
      head_only_ = parser_.request().method == "HEAD";
      return enter(State::kAnswering, now, MonotonicTime::max());
  }
}

void ServerConnection::read_and_drop(MonotonicTime now) {
  std::array<char, kReadSize> bytes;
  const ssize_t got = transport_.read(bytes.data(), bytes.size());
  if (got < 0 && would_block()) return;
  if (got > 0) dropped_ += static_cast<size_t>(got);
  if (got <= 0 || dropped_ > bounds_.linger_bytes) enter(State::kClosed, now, MonotonicTime::max());
}

void ServerConnection::answer(Response response, MonotonicTime now) {
  if (state_ == State::kAnswering) begin_writing(std::move(response), now);
}

void ServerConnection::begin_writing(Response response, MonotonicTime now) {
  response_ = std::move(response);
  head_ = response_head(response_);
  if (head_only_ || response_.status == 204) response_.body.clear();
  enter(State::kWriting, now, now + bounds_.answer_time);
  writable(now);
}

void ServerConnection::writable(MonotonicTime now) {
  if (state_ != State::kWriting) return;
  std::array<iovec, kWriteParts> pieces;
  size_t count = 0, bytes = 0;
  const size_t parts = 1 + response_.body.size();
  for (size_t i = part_; i < parts && count < pieces.size() && bytes < kWriteSize; ++i) {
    const std::string& text = i == 0 ? head_ : *response_.body[i - 1];
    const size_t from = i == part_ ? offset_ : 0;
    const size_t length = std::min(text.size() - from, kWriteSize - bytes);
    pieces[count++] = {const_cast<char*>(text.data() + from), length};
    bytes += length;
  }
  const ssize_t sent = transport_.write(pieces.data(), static_cast<int>(count));
  if (sent < 0 && would_block()) return;
  if (sent < 0) return enter(State::kClosed, now, MonotonicTime::max());
  if (sent > 0) moved_ = now;
  for (size_t left = static_cast<size_t>(sent); part_ < parts;) {
    const size_t rest = (part_ == 0 ? head_.size() : response_.body[part_ - 1]->size()) - offset_;
    if (rest > left) {
      offset_ += left;
      return;
    }
    left -= rest;
    offset_ = 0;
    if (part_ > 0) response_.body[part_ - 1] = nullptr;  // sent: not held any longer
    ++part_;
  }
  response_.body.clear();
  transport_.end_writing();
  enter(State::kLingering, now, now + bounds_.linger_time);
}

void ServerConnection::expired(MonotonicTime now) {
  // Who has begun a request is told; the rest, silent or not reading, is not worth a word.
  if (state_ == State::kReading && parser_.begun())
    return begin_writing(text_response(408, "the request did not come in time"), now);
  enter(State::kClosed, now, MonotonicTime::max());
}

}  // namespace sockmesh::http
