// What the flows of a run do: each flow's plan is a pure function of the seed and the flow's number, so that
// a run, or one flow of it, can be had again. Pure, any thread.
//
// An end is a script: so many bytes, in writes of such sizes, with gates at which it waits for the peer or
// for time to pass, stalls of its reader, and a way to close. All kinds of flow are made of these.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sockmesh::stress {

// Before the byte at `at` is written (at the script's length: before it closes).
struct Gate {
  uint64_t at = 0;
  uint64_t received = 0;    // so many bytes have to have come
  bool peer_ended = false;  // or the peer's end
  std::chrono::milliseconds pause{};
};
// Once so many bytes have come, nothing is read for a while.
struct Stall {
  uint64_t at = 0;
  std::chrono::milliseconds pause{};
};
enum class Close : uint8_t {
  kFin,     // shutdown(SHUT_WR) after the last byte
  kReset,   // RST after the last byte, whatever comes in
  kUnread,  // close() after the last byte, with what came in after `reads` bytes unread
};

struct Script {
  uint64_t send = 0;  // bytes
  uint32_t least_write = 1, most_write = 256 * 1024;
  uint32_t most_read = 256 * 1024;
  std::vector<Gate> gates;    // by `at`
  std::vector<Stall> stalls;  // by `at`
  uint64_t pace_bytes = 0;    // a reader of limited speed: a pause after each so many bytes; 0: none
  std::chrono::milliseconds pace_pause{};
  Close close = Close::kFin;
  uint64_t reads = UINT64_MAX;
  uint32_t receive_buffer = 0, send_buffer = 0;  // 0: the kernel's
  bool no_delay = false;
};

struct FlowPlan {
  uint64_t number = 0;
  std::string_view kind;  // one of kinds()
  bool ipv6 = false;
  uint64_t randomness = 0;  // for what is drawn while it runs: the sizes of writes
  Script client, server;

  bool resets() const { return client.close != Close::kFin || server.close != Close::kFin; }
};

constexpr uint64_t kLongest = 20'000'000;  // bytes of one direction

const std::vector<std::string_view>& kinds();
// `allowed` are kinds; all of them when empty.
FlowPlan plan_flow(uint64_t seed, uint64_t number, const std::vector<std::string_view>& allowed = {});
std::string describe(const FlowPlan& plan);

// The key of the bytes that go from the client (or to it) in a flow.
uint64_t key_of(uint64_t seed, uint64_t number, bool from_client);

// Splitmix64: small, fast, the same everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next();
  uint64_t below(uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  bool percent(unsigned share) { return below(100) < share; }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  // As many of each power: 0 to most for least 0.
  uint64_t about(uint64_t least, uint64_t most);

 private:
  uint64_t state_;
};

}  // namespace sockmesh::stress
