// The pattern is a table of random bytes of prime length, so that a byte at a wrong offset rarely passes.
#include "bpf/self_test_flow.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace sockmesh::bpf {

namespace {

// On a healthy kernel no wait takes 50 ms, unless the machine is so busy that workers and we wait for a
// processor: then bytes move, if slowly. So a wait ends when none has moved for kStandstill, and after
// kLongest in any case.
constexpr auto kStandstill = std::chrono::seconds(3);
constexpr auto kLongest = std::chrono::seconds(15);
constexpr size_t kChunk = 65536;
constexpr size_t kPatternBytes = 65521;

// The bytes [0, kPatternBytes), twice over: any place can be read from for a whole round.
const std::vector<char>& pattern() {
  static const std::vector<char> bytes = [] {
    std::vector<char> made(2 * kPatternBytes);
    uint32_t state = 12345;
    for (size_t i = 0; i < kPatternBytes; ++i) {
      state = static_cast<uint32_t>(uint64_t{state} * 1664525 + 1013904223);
      made[i] = made[i + kPatternBytes] = static_cast<char>(state >> 24);
    }
    return made;
  }();
  return bytes;
}

}  // namespace

SelfTestFlow::SelfTestFlow(SpliceMaps& maps, LoopbackPair down, LoopbackPair up)
    : maps_(&maps), down_(std::move(down)), up_(std::move(up)) {}

Result<SelfTestFlow> SelfTestFlow::open(SpliceMaps& maps) {
  SOCKMESH_TRY(down, open_loopback_pair());
  SOCKMESH_TRY(up, open_loopback_pair());
  return SelfTestFlow(maps, std::move(down), std::move(up));
}

int SelfTestFlow::application(Side side) const {
  return side == Side::kDownstream ? down_.connecting.get() : up_.accepted.get();
}
int SelfTestFlow::socket(Side side) const {
  return side == Side::kDownstream ? down_.accepted.get() : up_.connecting.get();
}

Result<void> SelfTestFlow::splice() {
  SOCKMESH_TRY(
      pair, SplicePair::prepare(*maps_, socket(Side::kDownstream), socket(Side::kUpstream), SPLICE_NO_RING));
  pair_.emplace(std::move(pair));
  SOCKMESH_CHECK(pair_->insert(Side::kUpstream));
  SOCKMESH_CHECK(pair_->insert(Side::kDownstream));
  pair_->arm();
  SOCKMESH_CHECK(pair_->kick(Side::kDownstream));
  return pair_->kick(Side::kUpstream);
}

uint64_t SelfTestFlow::send(Side from, uint64_t bytes) {
  End& end = ends_[static_cast<size_t>(from)];
  uint64_t done = 0;
  while (done < bytes) {
    const char* data = pattern().data() + end.sent % kPatternBytes;
    const auto n =
        ::send(application(from), data, std::min<uint64_t>(bytes - done, kPatternBytes), MSG_NOSIGNAL);
    if (n <= 0) break;
    done += static_cast<uint64_t>(n);
    end.sent += static_cast<uint64_t>(n);
  }
  return done;
}

Result<uint64_t> SelfTestFlow::receive(Side from) {
  End& end = ends_[static_cast<size_t>(from)];
  char data[kChunk];
  uint64_t total = 0;
  for (;;) {
    const auto n = recv(application(other(from)), data, std::min(sizeof data, kPatternBytes), 0);
    if (n < 0 && errno == EAGAIN) return total;
    if (n < 0) return fail(os_error("the receiving application"));
    if (n == 0) return total;
    const char* expected = pattern().data() + end.received % kPatternBytes;
    if (!std::equal(data, data + n, expected)) return fail("wrong bytes after offset {}", end.received);
    end.received += static_cast<uint64_t>(n);
    total += static_cast<uint64_t>(n);
  }
}

Result<void> SelfTestFlow::pump(Side from) {
  End& end = ends_[static_cast<size_t>(from)];
  for (;;) {
    if (end.pending.empty()) {
      if (pair_->counters(from).passed <= pair_->consumed(from)) return {};
      end.pending.resize(kChunk);
      const auto n = recv(socket(from), end.pending.data(), end.pending.size(), 0);
      end.pending.resize(n > 0 ? static_cast<size_t>(n) : 0);
      end.written = 0;
      if (n <= 0) return {};
    }
    if (pair_->broken(from)) return fail("a repeated segment could not be trimmed");
    SOCKMESH_TRY(drained, pair_->drained(from));
    if (!drained && end.written == 0) return {};
    while (end.written < end.pending.size()) {
      const auto n = ::send(socket(other(from)), end.pending.data() + end.written,
                            end.pending.size() - end.written, MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) return {};
      if (n < 0) return fail(os_error("writing PASSed bytes"));
      end.written += static_cast<size_t>(n);
    }
    const size_t all = end.pending.size();
    end.pending.clear();
    pair_->publish(from, all);
  }
}

Result<void> SelfTestFlow::pump() {
  if (!pair_) return {};
  SOCKMESH_CHECK(pump(Side::kDownstream));
  return pump(Side::kUpstream);
}

uint64_t SelfTestFlow::moved() const {
  uint64_t bytes = 0;
  for (const Side side : {Side::kDownstream, Side::kUpstream}) {
    bytes += sent(side) + received(side);
    if (pair_) bytes += pair_->counters(side).total() + pair_->consumed(side);
  }
  return bytes;
}

Result<void> SelfTestFlow::until(std::string_view what, const std::function<Result<bool>()>& step) {
  const MonotonicTime began = monotonic_now();
  MonotonicTime last_moved = began;
  for (uint64_t before = moved();;) {
    SOCKMESH_CHECK(pump());
    SOCKMESH_TRY(done, step());
    if (done) return {};
    const MonotonicTime now = monotonic_now();
    if (const uint64_t so_far = moved(); so_far != before) {
      before = so_far;
      last_moved = now;
    }
    if (now - last_moved > kStandstill) return fail("{}: nothing moved for {} s", what, kStandstill.count());
    if (now - began > kLongest) return fail("{}: not within {} s", what, kLongest.count());
    pollfd fds[] = {{socket(Side::kDownstream), POLLIN, 0},
                    {socket(Side::kUpstream), POLLIN, 0},
                    {application(Side::kDownstream), POLLIN, 0},
                    {application(Side::kUpstream), POLLIN, 0}};
    poll(fds, std::size(fds), 1);
  }
}

Result<void> SelfTestFlow::await(std::string_view what, Side from, uint64_t bytes) {
  SOCKMESH_CHECK(until(what, [&]() -> Result<bool> {
    SOCKMESH_TRY(more, receive(from));
    (void)more;
    return received(from) >= bytes;
  }));
  if (received(from) > bytes) return fail("{}: {} bytes arrived, expected {}", what, received(from), bytes);
  return {};
}

}  // namespace sockmesh::bpf
