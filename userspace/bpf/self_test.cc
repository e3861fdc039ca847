// The cases, one function each. A case returns what it saw, or why lane 1 must not be used.
#include "bpf/self_test.h"

#include <sys/socket.h>

#include <algorithm>
#include <thread>

#include "bpf/self_test_flow.h"

namespace sockmesh::bpf {

namespace {

using Seen = Result<std::string>;
constexpr Side kDown = Side::kDownstream;
constexpr Side kUp = Side::kUpstream;
constexpr uint64_t kMiB = 1 << 20;
constexpr auto kQuiet =
    std::chrono::milliseconds(10);  // a sender that got nothing away for so long is blocked

std::string mib(uint64_t bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / kMiB); }

// Sends and receives until `bytes` have arrived, exact.
Result<void> transfer(SelfTestFlow& flow, Side from, uint64_t bytes) {
  const uint64_t goal = flow.received(from) + bytes;
  return flow.until("transfer", [&]() -> Result<bool> {
    if (flow.sent(from) < goal) flow.send(from, goal - flow.sent(from));
    if (auto got = flow.receive(from); !got) return fail(std::move(got).error());
    return flow.received(from) == goal;
  });
}

// Pumps and lets the applications send without a reader until nothing moves any more. What then was taken is
// all that a stalled reader costs.
Result<uint64_t> fill(SelfTestFlow& flow, Side from, uint64_t most) {
  auto last_taken = monotonic_now();
  SOCKMESH_CHECK(flow.until("a sender to block", [&]() -> Result<bool> {
    const uint64_t taken = flow.send(from, most - flow.sent(from));
    if (taken > 0) last_taken = monotonic_now();
    return monotonic_now() - last_taken > kQuiet || flow.sent(from) >= most;
  }));
  return flow.sent(from);
}

Seen redirect(SpliceMaps& maps) {
  SOCKMESH_TRY(flow, SelfTestFlow::open(maps));
  SOCKMESH_CHECK(flow.splice());
  SOCKMESH_CHECK(transfer(flow, kDown, kMiB));
  SOCKMESH_CHECK(transfer(flow, kUp, kMiB));
  const auto down = flow.pair().counters(kDown), up = flow.pair().counters(kUp);
  if (down.total() != kMiB || up.total() != kMiB)
    return fail("{} and {} bytes counted, expected {}", down.total(), up.total(), kMiB);
  if (down.redirected == 0 || up.redirected == 0) return fail("nothing was redirected");
  return fmt::format("1 MiB each way, {}% and {}% in the kernel, {}", down.redirected * 100 / kMiB,
                     up.redirected * 100 / kMiB, maps.attach_type());
}

Seen queued_before_insertion(SpliceMaps& maps) {
  SOCKMESH_TRY(flow, SelfTestFlow::open(maps));
  flow.send(kDown, 10'000);
  flow.send(kUp, 3'000);
  SOCKMESH_CHECK(flow.splice());
  SOCKMESH_CHECK(flow.await("bytes queued before the insertion", kDown, 10'000));
  SOCKMESH_CHECK(flow.await("bytes queued before the insertion", kUp, 3'000));
  return "delivered after a peek";
}

// The client ends its direction while the server's bytes towards it are waiting in a backlog.
Seen bare_fin(SpliceMaps& maps) {
  SOCKMESH_TRY(flow, SelfTestFlow::open(maps));
  SOCKMESH_CHECK(flow.splice());
  SOCKMESH_CHECK(transfer(flow, kDown, 1000));
  SOCKMESH_TRY(reverse, fill(flow, kUp, 16 * kMiB));
  shutdown(flow.application(kDown), SHUT_WR);
  SOCKMESH_CHECK(flow.until("the end of the stream", [&]() -> Result<bool> {
    char byte;
    return recv(flow.socket(kDown), &byte, 1, MSG_PEEK) == 0;
  }));
  for (const Side side : {kDown, kUp}) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(flow.socket(side), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return fail(os_error("a FIN put an error on a socket", error));
  }
  SOCKMESH_CHECK(flow.await("the reverse direction", kUp, reverse));
  return fmt::format("end of stream seen, {} the other way unharmed", mib(reverse));
}

Seen bounded(SpliceMaps& maps) {
  constexpr uint64_t kMost = 32 * kMiB;
  SOCKMESH_TRY(flow, SelfTestFlow::open(maps));
  SOCKMESH_CHECK(flow.splice());
  SOCKMESH_TRY(taken, fill(flow, kDown, kMost));
  if (taken >= kMost) return fail("{} taken from a sender whose reader does not read", mib(taken));
  SOCKMESH_CHECK(flow.await("the rest", kDown, taken));
  const auto counters = flow.pair().counters(kDown);
  if (counters.total() != taken) return fail("{} bytes counted, expected {}", counters.total(), taken);
  return fmt::format("{} taken, then blocked; all exact afterwards", mib(taken));
}

Seen close_wait(SpliceMaps& maps) {
  SOCKMESH_TRY(flow, SelfTestFlow::open(maps));
  shutdown(flow.application(kDown), SHUT_WR);
  SOCKMESH_CHECK(flow.until("a FIN", [&]() -> Result<bool> {
    char byte;
    return recv(flow.socket(kDown), &byte, 1, MSG_PEEK) == 0;
  }));
  if (auto spliced = flow.splice()) return fail("a half-closed socket was let into the sockmap");
  return "a half-closed socket is refused";
}

// User space has read a part of a segment when the socket is put into the map.
Seen trim(SpliceMaps& maps) {
  constexpr uint64_t kSegment = 30'000;
  const uint64_t before = maps.stats().trimmed_bytes;
  for (const uint64_t cut : {1, 4095, 4096, 20'000}) {
    SOCKMESH_TRY(flow, SelfTestFlow::open(maps));
    flow.send(kDown, kSegment);
    std::vector<char> head(cut);
    if (recv(flow.socket(kDown), head.data(), cut, 0) != static_cast<ssize_t>(cut))
      return fail("could not read {} bytes", cut);
    flow.count_received(kDown, cut);
    SOCKMESH_CHECK(flow.splice());
    SOCKMESH_CHECK(flow.await("the rest of the segment", kDown, kSegment));
    SOCKMESH_CHECK(transfer(flow, kDown, 1000));
    if (flow.pair().counters(kDown).total() != kSegment - cut + 1000)
      return fail("after reading {} bytes: {} counted", cut, flow.pair().counters(kDown).total());
  }
  return fmt::format("{} bytes cut off, rest exact", maps.stats().trimmed_bytes - before);
}

// The client does not read before its upload is done, and the server is talking already: the bytes waiting
// for the client must not stop the upload.
Seen upload_to_talking_peer(SpliceMaps& maps) {
  SOCKMESH_TRY(flow, SelfTestFlow::open(maps));
  SOCKMESH_CHECK(flow.splice());
  SOCKMESH_TRY(talk, fill(flow, kUp, 32 * kMiB));
  SOCKMESH_CHECK(transfer(flow, kDown, 4 * kMiB));
  SOCKMESH_CHECK(flow.await("what the server had said", kUp, talk));
  return fmt::format("4 MiB up while {} down were not read", mib(talk));
}

struct Case {
  const char* name;
  Seen (*run)(SpliceMaps&);
};
constexpr Case kCases[] = {
    {"redirect", redirect},
    {"queued-before-insertion", queued_before_insertion},
    {"bare-fin", bare_fin},
    {"bounded", bounded},
    {"close-wait", close_wait},
    {"trim", trim},
    {"upload-to-talking-peer", upload_to_talking_peer},
};

}  // namespace

bool SelfTestReport::passed() const {
  return std::all_of(verdicts.begin(), verdicts.end(), [](const auto& verdict) { return verdict.passed; });
}

std::string SelfTestReport::failures() const {
  std::string text;
  for (const auto& verdict : verdicts)
    if (!verdict.passed)
      text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", verdict.name, verdict.detail);
  return text;
}

SelfTestReport run_self_test(SpliceMaps& maps) {
  SelfTestReport report;
  for (const Case& test : kCases) {
    const auto start = monotonic_now();
    const Seen seen = test.run(maps);
    report.verdicts.push_back(
        {test.name, seen.has_value(), seen ? *seen : seen.error().message, monotonic_now() - start});
  }
  return report;
}

}  // namespace sockmesh::bpf
