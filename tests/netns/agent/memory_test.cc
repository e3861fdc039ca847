// What an agent costs in memory: idle, with a reader that does not read, and after many flows of all kinds.
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <tuple>

#include "base/strings.h"
#include "test_support/eventually.h"
#include "two_sidecars.h"

namespace sockmesh::test {
namespace {

constexpr uint64_t kMiB = 1024 * 1024;

TEST_CASE("an idle agent stays below 10 MB resident") {
  if (sanitized()) return;
  TwoSidecars two;
  // Starting and reading cost more; that is given back a second later.
  for (const Agent* agent : {&two.client, &two.store}) {
    (void)eventually([&] { return agent->resident() < 10'000'000; });
    INFO("heap and stacks " << agent->status_bytes("RssAnon") << ", files " << agent->status_bytes("RssFile")
                            << ", shared " << agent->status_bytes("RssShmem"));
    CHECK(agent->resident() < 10'000'000);
  }
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
uint64_t held_by(Agent& agent, uint16_t capture_port) {
  const std::string text = must_run({"ss", "-HtinO", "state", "established"}, &agent.pod().netns);
  SocketCounters in, out;
  for (const std::string_view line : split(text, '\n', true)) {
    const auto words = split(line, ' ', true);
    if (words.size() < 4) continue;
    const std::string_view local = words[2], peer = words[3];
    // The applications' own sockets: the client's still names the service, the server's is bound to its port.
    const bool application = peer.starts_with("10.0.40.1:") || local.ends_with(":7000");
    SocketCounters* counters = nullptr;
    if (local.ends_with(fmt::format(":{}", capture_port))) counters = &in;
    if (peer.ends_with(":7000") && !application) counters = &out;
    if (!counters) continue;
    counters->received += number_after(line, "bytes_received:");
    counters->acked += number_after(line, "bytes_acked:");
  }
  REQUIRE(in.received > 0);
  REQUIRE(out.acked > 0);
  return in.received - std::min(in.received, out.acked);
}

void stall(const std::string& data_path) {
  TwoSidecars two(data_path);
  if (two.misses_lane()) return;
  const StreamRun run{.scenario = Scenario::kUpload,
                      .flows = 1,
                      .bytes = 200 * kMiB,
                      .client_options = {"--stall-after", std::to_string(kMiB), "--timeout", "300"}};
  two.check({.flows = 10});  // what is made on first use is there now
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
  const uint64_t at_client = held_by(two.client, 15001), at_store = held_by(two.store, 15006);
  INFO(data_path << ": taken in " << last << ", held by the agent of client " << at_client << ", of store "
                 << at_store);
  CHECK(at_client <= 8 * kMiB);
  CHECK(at_store <= 8 * kMiB);
  if (!sanitized()) {
    CHECK(two.client.resident() < client_rss + 8 * kMiB);
    CHECK(two.store.resident() < store_rss + 8 * kMiB);
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

// What 2000 flows held, hundreds of them at a time, is given back when they are over, although another goes
// on.
void mixed_load(const std::string& data_path) {
  TwoSidecars two(data_path);
  if (two.misses_lane()) return;
  two.check({.flows = 10});
  const StreamRun lasting{.scenario = Scenario::kServerFirst,
                          .flows = 1,
                          .bytes = 100'000,
                          .client_options = {"--hold-at", "1000", "--timeout", "300"}};
  Process lasting_server = two.start_server(lasting), lasting_client = two.start_client(lasting);
  EVENTUALLY(two.store.open_flows() == 1);
  const uint64_t client_before = two.client.resident(), store_before = two.store.resident();
  for (const auto& [scenario, flows, bytes] : {std::tuple{Scenario::kDuplex, 500, 100'000},
                                               {Scenario::kSlowReader, 200, 1'000'000},
                                               {Scenario::kUpload, 200, 2'000'000},
                                               {Scenario::kTinyWrites, 100, 2000},
                                               {Scenario::kEcho, 1000, 20'000}}) {
    INFO(data_path << ", " << to_string(scenario));
    const StreamRun run{.scenario = scenario,
                        .flows = flows,
                        .bytes = static_cast<uint64_t>(bytes),
                        .client_options = {"--timeout", "100"}};
    Process server = two.start_server(run), client = two.start_client(run);
    CHECK(client.wait(std::chrono::seconds(100)).value_or(-1) == 0);
    CHECK(server.wait(std::chrono::seconds(100)).value_or(-1) == 0);
  }
  if (!sanitized()) {
    // Now and then the agent looks how much free memory it has.
    const auto given_back = [&] {
      return two.client.resident() < client_before + 16 * kMiB &&
             two.store.resident() < store_before + 16 * kMiB;
    };
    CHECK(eventually(given_back, std::chrono::seconds(30)));
    INFO(data_path << ": the agent of client had " << client_before << " and has " << two.client.resident()
                   << ", that of store " << store_before << " and " << two.store.resident());
    CHECK(given_back());
  }
  lasting_client.signal(SIGUSR1);
  CHECK(lasting_client.wait(std::chrono::seconds(60)).value_or(-1) == 0);
  CHECK(lasting_server.wait(std::chrono::seconds(60)).value_or(-1) == 0);
}

TEST_CASE("2000 mixed flows leave no memory behind with epoll") { mixed_load("epoll"); }
TEST_CASE("2000 mixed flows leave no memory behind with io_uring") { mixed_load("io_uring"); }
TEST_CASE("2000 mixed flows leave no memory behind with sockmap") { mixed_load("sockmap"); }

}  // namespace
}  // namespace sockmesh::test
