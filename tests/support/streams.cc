#include "test_support/streams.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "test_support/pattern.h"

namespace sockmesh::test {
namespace {

constexpr uint64_t kMagic = 0x736f636b6d657368;  // "sockmesh"
constexpr size_t kEchoLimit = 256 * 1024;        // an echo stops reading while it holds this much
constexpr int kRounds = 16;  // system calls a step makes in each direction, so that no end starves another

enum Flag : uint32_t { kEcho = 1, kReceipt = 2, kWaitEof = 4, kReset = 8, kPeerResets = 16 };

// Both ends run on one machine: native byte order.
struct Header {
  uint64_t magic;
  uint64_t id;
  uint64_t length;
  uint64_t reply_id;
  uint64_t reply_bytes;
  uint64_t reply_stall_after;
  uint32_t reply_write_chunk;
  uint32_t reply_read_chunk;
  uint32_t reply_read_pause_ms;
  uint32_t reply_flags;
};
static_assert(sizeof(Header) == kHeaderBytes);

struct Receipt {
  uint64_t magic;
  uint64_t received;
  uint64_t wrong;
};
static_assert(sizeof(Receipt) == kReceiptBytes);

uint32_t flags_of(const EndPlan& plan) {
  return (plan.echo ? kEcho : 0u) | (plan.receipt ? kReceipt : 0u) | (plan.wait_eof ? kWaitEof : 0u) |
         (plan.end == EndPlan::End::kReset ? kReset : 0u) | (plan.peer_resets ? kPeerResets : 0u);
}

// A plan from the header the client sent. A server that greets has promised its stream's length already.
void adopt(EndPlan& plan, const Header& header) {
  const bool greets = plan.send_bytes > 0;
  if (!greets) {
    plan.id = header.reply_id;
    plan.send_bytes = header.reply_bytes;
    plan.echo = header.reply_flags & kEcho;
    plan.receipt = header.reply_flags & kReceipt;
    plan.wait_eof = header.reply_flags & kWaitEof;
  }
  plan.end = header.reply_flags & kReset ? EndPlan::End::kReset : EndPlan::End::kFin;
  plan.peer_resets = header.reply_flags & kPeerResets;
  plan.stall_after = header.reply_stall_after;
  plan.write_chunk = header.reply_write_chunk;
  plan.read_chunk = header.reply_read_chunk;
  plan.read_pause_ms = header.reply_read_pause_ms;
  plan.learn = false;
}

}  // namespace

StreamEnd::StreamEnd(Fd socket, EndPlan plan, EndPlan peer)
    : socket_(std::move(socket)), plan_(std::move(plan)), peer_(std::move(peer)) {}

uint64_t StreamEnd::planned() const { return plan_.send_bytes + (plan_.receipt ? kReceiptBytes : 0); }

bool StreamEnd::may_send() const {
  if (sending_ended_) return false;
  if (report_.sent >= plan_.hold_at) return false;
  if (plan_.wait_first && report_.received == 0 && !report_.eof) return false;
  if (plan_.wait_eof && !report_.eof && report_.sent >= kHeaderBytes) return false;
  if (plan_.echo) return echo_done_ < echo_out_.size() || report_.eof;
  // A server that has not heard its plan yet says its greeting and waits.
  if (plan_.learn) return report_.sent < plan_.send_bytes || report_.eof;
  if (plan_.receipt && report_.sent >= plan_.send_bytes) return report_.eof;
  if (report_.sent == plan_.send_bytes) return report_.received >= plan_.end_after || report_.eof;
  return true;
}

std::optional<int> StreamEnd::pause_left() const {
  const auto now = std::chrono::steady_clock::now();
  if (report_.eof || next_read_ <= now) return std::nullopt;
  return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(next_read_ - now).count()) +
         1;
}

short StreamEnd::wants() const {
  if (done()) return 0;
  short events = 0;
  const bool echo_full = plan_.echo && echo_out_.size() - echo_done_ >= kEchoLimit;
  if (!report_.eof && !echo_full && report_.received < plan_.stall_after && !pause_left()) events |= POLLIN;
  if (may_send()) events |= POLLOUT;
  return events;
}

bool StreamEnd::holding() const {
  const bool held = report_.sent >= plan_.hold_at || report_.received >= plan_.stall_after;
  return !done() && held && !may_send();
}

void StreamEnd::resume() {
  plan_.hold_at = kNever;
  plan_.stall_after = kNever;
}

void StreamEnd::fail(std::string why) {
  if (report_.error.empty()) report_.error = std::move(why);
}

void StreamEnd::give_up(std::string why) {
  fail(std::move(why));
  socket_.reset();
}

void StreamEnd::socket_error(int err) {
  if (err == ECONNRESET || err == EPIPE) {
    report_.reset = true;
    // What came in before the RST is still to be counted where the kernel kept it; after it there is nothing.
    socket_.reset();
  } else {
    give_up(std::strerror(err));
  }
}

void StreamEnd::step() {
  if (done()) return;
  const short events = wants();
  if (events & POLLIN) read_some();
  if (!done()) write_some();
  if (!done() && sending_ended_ && report_.eof) socket_.reset();
}

void StreamEnd::read_some() {
  thread_local std::vector<std::byte> buffer;
  if (buffer.size() < plan_.read_chunk) buffer.resize(plan_.read_chunk);
  for (int round = 0; round < kRounds && !done(); ++round) {
    if (!(wants() & POLLIN)) return;
    const uint64_t room = plan_.stall_after - report_.received;
    const size_t length = std::min<uint64_t>(plan_.read_chunk, room);
    const ssize_t got = recv(socket_.get(), buffer.data(), length, MSG_DONTWAIT);
    if (got < 0) {
      if (errno != EAGAIN && errno != EINTR) socket_error(errno);
      return;
    }
    if (got == 0) {
      report_.eof = true;
      return;
    }
    take(std::span(buffer).first(static_cast<size_t>(got)));
    if (plan_.read_pause_ms > 0) {
      next_read_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(plan_.read_pause_ms);
    }
  }
}

void StreamEnd::take(std::span<const std::byte> data) {
  const uint64_t offset = report_.received;
  const bool echoed_before = plan_.echo;
  report_.received += data.size();
  if (header_in_.size() < kHeaderBytes) {
    const size_t part = std::min<size_t>(kHeaderBytes - header_in_.size(), data.size());
    header_in_.insert(header_in_.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(part));
    if (header_in_.size() == kHeaderBytes) take_header();
  }
  if (plan_.echo) {
    // An echo's plan may have come with this very piece: everything since the first byte goes back.
    if (!echoed_before) {
      echo_out_.assign(header_in_.begin(), header_in_.begin() + static_cast<std::ptrdiff_t>(offset));
    }
    echo_out_.insert(echo_out_.end(), data.begin(), data.end());
  }
  const uint64_t skip = offset < kHeaderBytes ? std::min<uint64_t>(kHeaderBytes - offset, data.size()) : 0;
  if (skip < data.size()) check_body(offset + skip, data.subspan(skip));
}

void StreamEnd::take_header() {
  Header header;
  std::memcpy(&header, header_in_.data(), sizeof header);
  if (header.magic != kMagic) return fail("the first bytes are not a stream's header");
  if (plan_.peer_id && header.id != *plan_.peer_id) {
    return fail(
        fmt::format("got stream {:x}, expected {:x}: bytes of another flow", header.id, *plan_.peer_id));
  }
  peer_id_ = header.id;
  report_.expected = header.length;
  if (plan_.learn) adopt(plan_, header);
}

void StreamEnd::check_body(uint64_t offset, std::span<const std::byte> data) {
  if (!report_.error.empty() || !report_.expected) return;
  if (offset + data.size() > *report_.expected) {
    return fail(fmt::format("{} bytes came in, expected {}", offset + data.size(), *report_.expected));
  }
  size_t body = data.size();
  if (plan_.wants_receipt) {
    const uint64_t tail_from = *report_.expected - kReceiptBytes;
    const size_t in_body = tail_from > offset ? std::min<uint64_t>(tail_from - offset, data.size()) : 0;
    tail_in_.insert(tail_in_.end(), data.begin() + static_cast<std::ptrdiff_t>(in_body), data.end());
    body = in_body;
  }
  if (const auto wrong = first_mismatch(peer_id_, offset, data.first(body))) {
    fail(fmt::format("byte {} is wrong", offset + *wrong));
  }
}

// The bytes to send next; valid until the next call.
std::span<const std::byte> StreamEnd::next_output() {
  if (plan_.echo) {
    return std::span(echo_out_).subspan(echo_done_,
                                        std::min<size_t>(plan_.write_chunk, echo_out_.size() - echo_done_));
  }
  const uint64_t offset = report_.sent;
  uint64_t length = std::min<uint64_t>({plan_.write_chunk, planned() - offset, plan_.hold_at - offset});
  if (length == 0) return {};
  out_.resize(length);
  if (offset < kHeaderBytes && plan_.send_bytes > 0) {
    const Header header{kMagic,
                        plan_.id,
                        planned(),
                        peer_.id,
                        peer_.send_bytes,
                        peer_.stall_after,
                        peer_.write_chunk,
                        peer_.read_chunk,
                        peer_.read_pause_ms,
                        flags_of(peer_)};
    length = std::min(length, kHeaderBytes - offset);
    std::memcpy(out_.data(), reinterpret_cast<const char*>(&header) + offset, length);
  } else if (offset < plan_.send_bytes) {
    length = std::min(length, plan_.send_bytes - offset);
    fill_pattern(plan_.id, offset, std::span(out_).first(length));
  } else {
    const bool wrong = !report_.error.empty() || (report_.expected && report_.received != *report_.expected);
    const Receipt receipt{kMagic, report_.received, wrong ? 1u : 0u};
    std::memcpy(out_.data(), reinterpret_cast<const char*>(&receipt) + (offset - plan_.send_bytes), length);
  }
  return std::span(out_).first(length);
}

void StreamEnd::write_some() {
  for (int round = 0; round < kRounds && may_send(); ++round) {
    const auto output = next_output();
    if (output.empty()) return finish_sending();
    const ssize_t put = send(socket_.get(), output.data(), output.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0) {
      if (errno != EAGAIN && errno != EINTR) socket_error(errno);
      return;
    }
    report_.sent += static_cast<uint64_t>(put);
    if (plan_.echo) {
      echo_done_ += static_cast<size_t>(put);
      if (echo_done_ == echo_out_.size() || echo_done_ >= kEchoLimit) {
        echo_out_.erase(echo_out_.begin(), echo_out_.begin() + static_cast<std::ptrdiff_t>(echo_done_));
        echo_done_ = 0;
      }
    }
  }
}

void StreamEnd::finish_sending() {
  if (plan_.end == EndPlan::End::kReset) {
    const linger now{1, 0};
    setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    socket_.reset();
    return;
  }
  shutdown(socket_.get(), SHUT_WR);
  sending_ended_ = true;
}

std::string StreamEnd::verdict() const {
  if (!report_.error.empty()) return report_.error;
  if (plan_.end == EndPlan::End::kReset) return {};
  if (plan_.peer_resets) return report_.reset ? "" : "the peer's RST did not arrive";
  if (report_.reset) {
    return fmt::format("reset after {} bytes sent and {} received", report_.sent, report_.received);
  }
  if (!report_.eof) return "the peer's FIN did not arrive";
  if (report_.received != report_.expected.value_or(0)) {
    return fmt::format("{} bytes came in, expected {}", report_.received, report_.expected.value_or(0));
  }
  const uint64_t to_send = plan_.echo ? report_.received : planned();
  if (report_.sent != to_send) return fmt::format("{} bytes sent, planned {}", report_.sent, to_send);
  if (plan_.wants_receipt) {
    Receipt receipt{};
    if (tail_in_.size() != sizeof receipt) return "no receipt came in";
    std::memcpy(&receipt, tail_in_.data(), sizeof receipt);
    if (receipt.magic != kMagic || receipt.wrong != 0 || receipt.received != report_.sent) {
      return fmt::format("the peer got {} of {} bytes{}", receipt.received, report_.sent,
                         receipt.wrong ? ", or wrong ones" : "");
    }
  }
  return {};
}

std::string run_ends(std::span<StreamEnd* const> ends, std::chrono::milliseconds deadline,
                     const std::function<bool()>& until) {
  const auto end_time = std::chrono::steady_clock::now() + deadline;
  std::vector<pollfd> polls(ends.size());
  for (bool open = true; open;) {
    open = false;
    int timeout = static_cast<int>(
        std::chrono::duration_cast<std::chrono::milliseconds>(end_time - std::chrono::steady_clock::now())
            .count());
    for (size_t i = 0; i < ends.size(); ++i) {
      if (!ends[i]->done()) ends[i]->step();
      // An end that waits for nothing is not polled: a hang-up it cannot act on yet would make this loop
      // spin.
      polls[i] = {ends[i]->wants() != 0 ? ends[i]->fd() : -1, ends[i]->wants(), 0};
      open |= !ends[i]->done();
      if (const auto pause = ends[i]->pause_left(); pause && !ends[i]->done())
        timeout = std::min(timeout, *pause);
    }
    if (until && until()) return {};
    if (open && std::chrono::steady_clock::now() >= end_time) {
      for (StreamEnd* end : ends) {
        if (!end->done()) {
          end->give_up(fmt::format("not done in {} ms: {} bytes sent, {} received", deadline.count(),
                                   end->report().sent, end->report().received));
        }
      }
      break;
    }
    if (open) poll(polls.data(), polls.size(), std::max(timeout, 0));
  }
  for (size_t i = 0; i < ends.size(); ++i) {
    if (const std::string verdict = ends[i]->verdict(); !verdict.empty())
      return fmt::format("end {}: {}", i, verdict);
  }
  return {};
}

}  // namespace sockmesh::test
