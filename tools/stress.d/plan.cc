#include "plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/arithmetic.h"

namespace sockmesh::stress {

namespace {

using std::chrono::milliseconds;

constexpr uint64_t kMegabyte = 1'000'000;

struct Kind {
  std::string_view name;
  unsigned weight;
  void (*make)(Random&, FlowPlan&);
};

// Most flows are small; those that matter most, full-duplex streams, are often big.
uint64_t stream(Random& random) { return random.about(0, kLongest); }

void duplex(Random& random, FlowPlan& plan) {
  plan.client.send = stream(random);
  plan.server.send = stream(random);
}

// Neither says FIN before it has heard all of the other: a flow that is half-closed stays in its lane.
void end_together(FlowPlan& plan) {
  plan.client.gates = {{.at = plan.client.send, .received = plan.server.send}};
  plan.server.gates = {{.at = plan.server.send, .received = plan.client.send}};
}

// Both directions go on for so long that the flow changes its lane while they do.
void long_duplex(Random& random, FlowPlan& plan) {
  plan.client.send = 200'000 + random.about(0, 4 * kMegabyte);
  plan.server.send = 200'000 + random.about(0, 4 * kMegabyte);
  if (random.percent(70)) end_together(plan);
}

// A writer of bursts and a reader about as fast, but steady and with little room: the agent's send queue
// towards it fills and empties, and is neither full nor empty when the flow changes its lane. The other
// direction is mostly light, for lane 1 leaves a flow that is crowded both ways to user space.
void bursts(Random& random, FlowPlan& plan) {
  Script* const reader = random.percent(50) ? &plan.client : &plan.server;
  Script* const writer = reader == &plan.client ? &plan.server : &plan.client;
  const uint64_t bytes_per_ms = random.about(2000, 15'000), pause = 1 + random.below(3);
  reader->pace_bytes = bytes_per_ms * pause;
  reader->pace_pause = milliseconds(pause);
  reader->receive_buffer = static_cast<uint32_t>(150'000 + random.below(150'000));
  reader->send = random.percent(20) ? 300'000 + random.about(0, kMegabyte) : random.about(0, 100'000);
  writer->send = 300'000 + random.about(0, 2 * kMegabyte);
  writer->most_write = static_cast<uint32_t>(random.about(300, 64'000));
  const uint64_t gap = 3 + random.below(12), burst = bytes_per_ms * gap * (100 + random.below(60)) / 100;
  for (uint64_t at = burst; at < writer->send; at += burst)
    writer->gates.push_back({.at = at, .pause = milliseconds(gap)});
  if (random.percent(70)) {
    writer->gates.push_back({.at = writer->send, .received = reader->send});
    reader->gates.push_back({.at = reader->send, .received = writer->send});
  }
}

void upload(Random& random, FlowPlan& plan) {
  plan.client.send = stream(random);
  plan.server.send = 1 + random.about(0, 2000);
  plan.server.gates = {{.at = 0, .peer_ended = true}};
}

void download(Random& random, FlowPlan& plan) {
  plan.client.send = 1 + random.about(0, 2000);
  plan.server.send = stream(random);
  plan.server.gates = {{.at = 0, .received = plan.client.send}};
  if (random.percent(50)) plan.client.gates = {{.at = plan.client.send, .peer_ended = true}};
}

void client_half_close(Random& random, FlowPlan& plan) {
  plan.client.send = random.about(0, kMegabyte);
  plan.server.send = random.about(0, 5 * kMegabyte);
  plan.server.gates = {{.at = random.below(plan.server.send + 1), .peer_ended = true}};
}

void server_half_close(Random& random, FlowPlan& plan) {
  plan.server.send = random.about(0, kMegabyte);
  plan.client.send = random.about(0, 5 * kMegabyte);
  plan.client.gates = {{.at = random.below(plan.client.send + 1), .peer_ended = true}};
}

void exchange(Random& random, FlowPlan& plan) {
  const uint64_t rounds = random.about(1, 150), request = random.about(1, 16'000),
                 answer = random.about(1, 32'000);
  plan.client.send = rounds * request;
  plan.server.send = rounds * answer;
  for (uint64_t i = 0; i < rounds; ++i) {
    plan.server.gates.push_back({.at = i * answer, .received = (i + 1) * request});
    plan.client.gates.push_back({.at = i * request, .received = i * answer});
  }
}

void banner(Random& random, FlowPlan& plan) {
  const uint64_t greeting = 1 + random.about(0, 2000);
  plan.client.send = random.about(0, 2 * kMegabyte);
  plan.server.send = greeting + random.about(0, 2 * kMegabyte);
  plan.client.gates = {{.at = 0, .received = greeting}};
  plan.server.gates = {{.at = greeting, .received = std::min<uint64_t>(plan.client.send, 1)}};
}

void one_byte_writes(Random& random, FlowPlan& plan) {
  for (Script* script : {&plan.client, &plan.server}) {
    script->send = random.about(0, 4000);
    script->most_write = 1;
    script->no_delay = random.percent(70);
  }
}

void nothing(Random&, FlowPlan&) {}

// Each end resets once it has heard of the other, so that the way between them stands.
void client_reset(Random& random, FlowPlan& plan) {
  duplex(random, plan);
  plan.server.send = std::max<uint64_t>(plan.server.send, 1);
  plan.client.send /= 4;
  plan.client.close = Close::kReset;
  plan.client.gates = {{.at = plan.client.send, .received = 1 + random.below((plan.server.send + 1) / 2)}};
}

void server_reset(Random& random, FlowPlan& plan) {
  duplex(random, plan);
  plan.client.send = std::max<uint64_t>(plan.client.send, 1);
  plan.server.send /= 4;
  plan.server.close = Close::kReset;
  plan.server.gates = {{.at = plan.server.send, .received = 1 + random.below((plan.client.send + 1) / 2)}};
}

// The same at once: the kernel has connected the ends, and the agents may not have looked at their connect()
// yet.
void hasty_client_reset(Random& random, FlowPlan& plan) {
  plan.client.send = random.about(0, 1000);
  plan.client.close = Close::kReset;
}

void hasty_server_reset(Random& random, FlowPlan& plan) {
  plan.client.send = random.about(0, 1000);
  if (random.percent(50)) plan.server.send = random.about(0, 1000);
  plan.server.close = Close::kReset;
}

// The server answers and closes before it has read the request: what its kernel has sent of the answer by
// then must arrive. That is small enough to be in the client's queue, or on its way there, before the RST is.
void early_answer(Random& random, FlowPlan& plan) {
  plan.client.send = 100'000 + random.about(0, 4 * kMegabyte);
  plan.server.send = 1 + random.about(0, 8000);
  plan.server.reads = random.about(1, 60'000);
  plan.server.close = Close::kUnread;
  plan.server.gates = {{.at = 0, .received = plan.server.reads},
                       {.at = plan.server.send, .pause = milliseconds(random.below(3))}};
}

constexpr Kind kKinds[] = {
    {"duplex", 14, duplex},
    {"long-duplex", 14, long_duplex},
    {"bursts", 12, bursts},
    {"upload", 8, upload},
    {"download", 8, download},
    {"client-half-close", 7, client_half_close},
    {"server-half-close", 7, server_half_close},
    {"exchange", 14, exchange},
    {"banner", 6, banner},
    {"one-byte-writes", 4, one_byte_writes},
    {"nothing", 2, nothing},
    {"client-reset", 6, client_reset},
    {"server-reset", 6, server_reset},
    {"early-answer", 4, early_answer},
    {"hasty-client-reset", 3, hasty_client_reset},
    {"hasty-server-reset", 3, hasty_server_reset},
};

void insert_gate(Script& script, Gate gate) {
  const auto place = std::upper_bound(script.gates.begin(), script.gates.end(), gate,
                                      [](const Gate& a, const Gate& b) { return a.at < b.at; });
  script.gates.insert(place, gate);
}

// What can come on top of any kind.
void vary(Random& random, Script& script, uint64_t peer_sends) {
  if (script.most_write > 1) {
    // Writes of one kind, or of all.
    if (script.pace_bytes == 0 && random.percent(50))
      script.most_write = static_cast<uint32_t>(random.about(200, 256 * 1024));
    if (random.percent(50)) script.least_write = static_cast<uint32_t>(random.about(1, script.most_write));
    // A megabyte byte by byte would take its time.
    script.least_write = std::max<uint32_t>(script.least_write, static_cast<uint32_t>(script.send / 4000));
    script.most_write = std::max(script.most_write, script.least_write);
    script.no_delay = random.percent(50);
  }
  if (random.percent(30)) script.most_read = static_cast<uint32_t>(random.about(500, 256 * 1024));
  script.most_read = std::max<uint32_t>(script.most_read, static_cast<uint32_t>(peer_sends / 4000));
  // Small buffers make a stream wait for timers of TCP's again and again, which a long one would do for
  // minutes.
  if (random.percent(10) && peer_sends < kMegabyte)
    script.receive_buffer = static_cast<uint32_t>(4000 + peer_sends / 20 + random.about(0, 100'000));
  if (random.percent(10) && script.send < kMegabyte)
    script.send_buffer = static_cast<uint32_t>(4000 + script.send / 20 + random.about(0, 100'000));
  if (random.percent(12)) {  // idle gaps
    for (uint64_t left = 1 + random.below(3); left > 0; --left)
      insert_gate(script, {.at = random.below(script.send + 1), .pause = milliseconds(random.about(1, 250))});
  }
  if (random.percent(12) && peer_sends > 0) {  // a slow reader: a few long stalls, or many short ones
    const uint64_t stalls = random.percent(50) ? 1 + random.below(3) : 10 + random.below(40);
    const uint64_t longest = stalls > 3 ? 5 : 250;
    for (uint64_t i = 0; i < stalls; ++i)
      script.stalls.push_back({random.below(peer_sends), milliseconds(random.about(1, longest))});
    std::sort(script.stalls.begin(), script.stalls.end(),
              [](const Stall& a, const Stall& b) { return a.at < b.at; });
  }
}

std::string describe(const Script& script) {
  std::string text =
      fmt::format("sends {} in writes of {} to {}", script.send, script.least_write, script.most_write);
  if (!script.gates.empty()) text += fmt::format(", {} gates", script.gates.size());
  if (script.pace_bytes)
    text +=
        fmt::format(", pauses {} ms after each {} bytes read", script.pace_pause.count(), script.pace_bytes);
  if (!script.stalls.empty()) text += fmt::format(", {} stalls", script.stalls.size());
  if (script.receive_buffer) text += fmt::format(", receive buffer {}", script.receive_buffer);
  if (script.send_buffer) text += fmt::format(", send buffer {}", script.send_buffer);
  if (script.close == Close::kReset) text += ", then RST";
  if (script.close == Close::kUnread) text += fmt::format(", closes with all but {} unread", script.reads);
  return text;
}

}  // namespace

SOCKMESH_WRAPS uint64_t Random::next() {
  state_ += 0x9e3779b97f4a7c15;
  uint64_t value = state_;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

uint64_t Random::about(uint64_t least, uint64_t most) {
  const double low = std::log(static_cast<double>(least) + 1), high = std::log(static_cast<double>(most) + 1);
  const double drawn = std::exp(low + unit() * (high - low)) - 1;
  return std::clamp(static_cast<uint64_t>(drawn + 0.5), least, most);
}

const std::vector<std::string_view>& kinds() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> list;
    for (const Kind& kind : kKinds) list.push_back(kind.name);
    return list;
  }();
  return names;
}

uint64_t key_of(uint64_t seed, uint64_t number, bool from_client) {
  return Random(Random(seed).next() ^ (number * 2 + (from_client ? 1 : 0))).next();
}

FlowPlan plan_flow(uint64_t seed, uint64_t number, const std::vector<std::string_view>& allowed) {
  Random random(Random(seed).next() ^ Random(number).next());
  FlowPlan plan;
  plan.number = number;
  const auto is_allowed = [&](const Kind& kind) {
    return allowed.empty() || std::find(allowed.begin(), allowed.end(), kind.name) != allowed.end();
  };
  unsigned all = 0;
  for (const Kind& kind : kKinds) all += is_allowed(kind) ? kind.weight : 0;
  uint64_t drawn = random.below(all);
  for (const Kind& kind : kKinds) {
    if (!is_allowed(kind)) continue;
    if (drawn < kind.weight) {
      plan.kind = kind.name;
      kind.make(random, plan);
      break;
    }
    drawn -= kind.weight;
  }
  plan.ipv6 = random.percent(50);
  vary(random, plan.client, plan.server.send);
  vary(random, plan.server, std::min(plan.client.send, plan.server.reads));
  // What has to arrive in spite of a reset must find room, and a reader.
  if (plan.server.close == Close::kUnread) {
    plan.client.stalls.clear();
    plan.client.receive_buffer = 0;
    // Nagle's algorithm would keep the last of it in the server's own socket, which the RST empties.
    plan.server.no_delay = true;
  }
  // With little room a segment may be dropped, and then the RST behind it is not at the place that it must
  // have. TCP asks again (RFC 5961), but under TPROXY the answer comes to an address that is nobody's here.
  if (plan.client.close == Close::kReset) plan.server.receive_buffer = 0;
  plan.randomness = random.next();
  return plan;
}

std::string describe(const FlowPlan& plan) {
  return fmt::format("{}, IPv{}; client {}; server {}", plan.kind, plan.ipv6 ? 6 : 4, describe(plan.client),
                     describe(plan.server));
}

}  // namespace sockmesh::stress
