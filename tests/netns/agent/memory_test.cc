// What an agent costs in memory: idle, and with a reader that does not read.
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>

#include "base/strings.h"
#include "test_support/eventually.h"
#include "two_sidecars.h"

namespace sockmesh::test {
namespace {

constexpr uint64_t kMiB = 1024 * 1024;

TEST_CASE("an idle agent stays below 10 MB resident") {
  if (sanitized()) return;
  TwoSidecars two;
  CHECK(two.client.resident() < 10'000'000);
  CHECK(two.store.resident() < 10'000'000);
}

// The kernel's own counters of one TCP connection, by ss(8).
struct SocketCounters {
  uint64_t received = 0;  // bytes_received
  uint64_t acked = 0;     // bytes_acked: sent and confirmed
};

uint64_t number_after(std::string_view text, std::string_view key) {
  const size_t at = text.find(key);
  if (at == std::string_view::npos) return 0;
  const std::string_view rest = text.substr(at + key.size());
  return parse_number<uint64_t>(rest.substr(0, rest.find_first_not_of("0123456789"))).value_or(0);
}

// Bytes of one direction that an agent, the sockets of the flow and whatever the kernel queues between them
// hold: all that came in on the side of its capture port, less all that the next hop has confirmed.
uint64_t held_in(Pod& pod, uint16_t capture_port) {
  const std::string text = must_run({"ss", "-HtinO", "state", "established"}, &pod.netns);
  SocketCounters in, out;
  for (const std::string_view line : split(text, '\n', true)) {
    const auto words = split(line, ' ', true);
    if (words.size() < 4) continue;
    const bool captured = words[2].ends_with(fmt::format(":{}", capture_port));
    const bool dialled = words[3].ends_with(":7000");
    const bool application =
        words[2].ends_with(":7000") || words[3].ends_with(fmt::format(":{}", capture_port));
    SocketCounters* counters = captured ? &in : dialled && !application ? &out : nullptr;
    if (!counters) continue;
    counters->received += number_after(line, "bytes_received:");
    counters->acked += number_after(line, "bytes_acked:");
  }
  return in.received - std::min(in.received, out.acked);
}

void stall(const std::string& data_path) {
  TwoSidecars two(data_path);
  const StreamRun run{.scenario = Scenario::upload,
                      .flows = 1,
                      .bytes = 200 * kMiB,
                      .client_options = {"--stall-after", std::to_string(kMiB), "--timeout", "300"}};
  const uint64_t client_rss = two.client.resident(), store_rss = two.store.resident();
  Process server = two.start_server(run);
  Process client = two.start_client(run);
  // Everything is full when the first agent takes in nothing more for a while.
  const auto taken = [&] {
    const auto flows = two.client.ctl("flows")["flows"];
    return flows.empty() ? 0 : flows[0]["bytesReceived"].get<uint64_t>();
  };
  EVENTUALLY(taken() > kMiB);
  const bool long_run = std::getenv("SOCKMESH_TEST_LONG") != nullptr;
  const auto still_for = patient(long_run ? std::chrono::seconds(60) : std::chrono::seconds(2));
  uint64_t last = taken();
  auto since = std::chrono::steady_clock::now();
  REQUIRE(eventually(
      [&] {
        if (const uint64_t now = taken(); now != last) {
          last = now;
          since = std::chrono::steady_clock::now();
        }
        return std::chrono::steady_clock::now() - since >= still_for;
      },
      std::chrono::seconds(90)));
  INFO(data_path << ": taken in " << last << ", held by the agent of client "
                 << held_in(two.client_pod, 15001) << " and of store " << held_in(two.store_pod, 15006));
  CHECK(held_in(two.client_pod, 15001) <= 8 * kMiB);
  CHECK(held_in(two.store_pod, 15006) <= 8 * kMiB);
  if (!sanitized()) {
    CHECK(two.client.resident() < client_rss + 2 * kMiB);
    CHECK(two.store.resident() < store_rss + 2 * kMiB);
  }
  // And not a byte is lost when the reader wakes up.
  server.signal(SIGUSR1);
  CHECK(client.wait(std::chrono::seconds(60)).value_or(-1) == 0);
  CHECK(server.wait(std::chrono::seconds(60)).value_or(-1) == 0);
  INFO(client.output() << server.output());
  CHECK(tally_of(server)["received"] == run.bytes);
}

TEST_CASE("a reader that stalls costs a bounded number of bytes with epoll") { stall("epoll"); }
TEST_CASE("a reader that stalls costs a bounded number of bytes with io_uring") { stall("io_uring"); }
TEST_CASE("a reader that stalls costs a bounded number of bytes with sockmap") { stall("sockmap"); }

}  // namespace
}  // namespace sockmesh::test
