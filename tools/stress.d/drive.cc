#include "drive.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

#include <array>
#include <cstring>

#include "compare.h"

namespace sockmesh::stress {

namespace {

constexpr Duration kLinesPatience = std::chrono::seconds(20);
// Flows that are not further away than this may be open at the same time.
constexpr uint64_t kNeighbours = 256;

void set(int socket, int level, int option, uint32_t value) {
  const int number = static_cast<int>(value);
  setsockopt(socket, level, option, &number, sizeof number);
}

void apply(int socket, const Script& script) {
  if (script.no_delay) set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  if (script.receive_buffer) set(socket, SOL_SOCKET, SO_RCVBUF, script.receive_buffer);
  if (script.send_buffer) set(socket, SOL_SOCKET, SO_SNDBUF, script.send_buffer);
}

std::string stream_name(uint64_t number, bool from_client) {
  return fmt::format("flow {}, from the {}", number, from_client ? "client" : "server");
}

End::Keys keys(uint64_t seed, uint64_t number, bool client) {
  return {key_of(seed, number, client), {key_of(seed, number, !client), stream_name(number, !client)}};
}

}  // namespace

void Run::failure(const FlowPlan& plan, std::string what, std::string details) {
  const std::lock_guard lock(mutex);
  ++failed;
  ++failed_by_kind[std::string(plan.kind)];
  if (failures.size() < kFailuresKept)
    failures.push_back({plan.number, std::string(plan.kind), std::move(what), std::move(details)});
}

struct Driver::Slot {
  enum class State : uint8_t { kFree, kRuns, kAwaitsLines, kRetired };
  size_t index;
  Listener listener;
  State state = State::kFree;
  FlowPlan plan;
  std::unique_ptr<End> client, server;
  std::array<uint32_t, 2> armed{};
  bool connecting = false, dirty = false;
  bool strange = false;  // something came to its port that was not its flow's, and will be logged
  std::string given_up;
  std::string accepted_from;  // as the server saw it
  uint64_t moved = 0;         // bytes, when they last changed
  MonotonicTime changed{};
};

Driver::Driver(Run& run, std::vector<Listener> listeners) : run_(run), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  for (Listener& listener : listeners) {
    auto slot = std::make_unique<Slot>();
    slot->index = slots_.size();
    slot->listener = std::move(listener);
    for (const auto& [which, fd] :
         {std::pair{kListener4, slot->listener.v4.get()}, {kListener6, slot->listener.v6.get()}}) {
      epoll_event event{.events = EPOLLIN, .data = {.u64 = slot->index * kWhichCount + which}};
      epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
    }
    slots_.push_back(std::move(slot));
  }
}

Driver::~Driver() = default;

std::vector<Stream> Driver::neighbours(uint64_t number) const {
  std::vector<Stream> streams;
  const uint64_t first = number > kNeighbours ? number - kNeighbours : 0;
  for (uint64_t one = first; one < number + kNeighbours; ++one)
    for (const bool from_client : {true, false})
      streams.push_back({key_of(run_.seed, one, from_client), stream_name(one, from_client)});
  return streams;
}

bool Driver::begin(Slot& slot) {
  if (run_.stop) return false;
  const uint64_t number = run_.next.fetch_add(1);
  if (number >= run_.end) return false;
  slot.plan = plan_flow(run_.seed, number, run_.kinds);
  slot.server.reset();
  slot.given_up.clear();
  slot.accepted_from.clear();
  slot.armed = {};
  slot.moved = 0;
  slot.changed = now_;
  SocketAddress to = slot.plan.ipv6 ? run_.service6 : run_.service4;
  to.port = slot.listener.port;
  Fd fd(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  apply(fd.get(), slot.plan.client);
  sockaddr_storage storage{};
  const socklen_t length = to.to_sockaddr(storage);
  const int result = connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length);
  if (result != 0 && errno != EINPROGRESS) {
    run_.failure(slot.plan, fmt::format("connect: {}", std::strerror(errno)), "");
    return true;
  }
  slot.connecting = result != 0;
  slot.client = std::make_unique<End>(std::move(fd), slot.plan.client, keys(run_.seed, number, true),
                                      slot.plan.server.send, slot.plan.randomness);
  slot.state = Slot::State::kRuns;
  slot.dirty = true;
  return true;
}

void Driver::accept_on(Slot& slot, int listener) {
  Fd fd(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) return;
  if (slot.state != Slot::State::kRuns || slot.server) {
    if (!slot.strange)
      run_.failure(slot.plan, "a connection that nobody made came to its port", state_of(slot));
    slot.strange = true;
    return;
  }
  const auto peer = SocketAddress::peer_of(fd.get());
  slot.accepted_from = peer ? peer->to_string() : "?";
  apply(fd.get(), slot.plan.server);
  slot.server =
      std::make_unique<End>(std::move(fd), slot.plan.server, keys(run_.seed, slot.plan.number, false),
                            slot.plan.client.send, ~slot.plan.randomness);
}

void Driver::arm(Slot& slot, Which which) {
  End* end = (which == kClient ? slot.client : slot.server).get();
  uint32_t& armed = slot.armed[which];
  if (!end || !end->open()) {
    armed = 0;  // closing took it out
    return;
  }
  const uint32_t wanted = which == kClient && slot.connecting ? uint32_t{EPOLLOUT} : end->wants();
  if (wanted == armed) return;
  // One that waits for nothing leaves the set: a hang-up would be reported to it for ever.
  epoll_event event{.events = wanted, .data = {.u64 = slot.index * kWhichCount + which}};
  epoll_ctl(epoll_.get(),
            wanted == 0  ? EPOLL_CTL_DEL
            : armed == 0 ? EPOLL_CTL_ADD
                         : EPOLL_CTL_MOD,
            end->fd(), &event);
  armed = wanted;
}

void Driver::step(Slot& slot) {
  slot.dirty = false;
  if (slot.state != Slot::State::kRuns) return;
  const auto others = [&] { return neighbours(slot.plan.number); };
  if (slot.server) slot.server->step(now_, true, scratch_, others);
  if (!slot.connecting) slot.client->step(now_, slot.server != nullptr, scratch_, others);
  settle(slot);
}

void Driver::settle(Slot& slot) {
  arm(slot, kClient);
  arm(slot, kServer);
  const uint64_t moved = slot.client->sent() + slot.client->received() +
                         (slot.server ? 1 + slot.server->sent() + slot.server->received() : 0);
  if (moved != slot.moved || (slot.client && slot.client->wakes()) || (slot.server && slot.server->wakes()))
    slot.changed = now_;
  slot.moved = moved;
  if (slot.client->open() || !slot.server || slot.server->open()) return;
  slot.state = Slot::State::kAwaitsLines;
  slot.changed = now_;
}

std::string Driver::state_of(const Slot& slot) const {
  const auto end_text = [](const char* who, const End* end) {
    if (!end) return fmt::format("  {}: never accepted\n", who);
    std::string text = fmt::format("  {}: sent {}, received {}", who, end->sent(), end->received());
    if (end->open()) text += ", open";
    if (end->ended() && !end->was_reset()) text += ", saw the end";
    if (end->was_reset()) text += ", was reset";
    if (!end->error().empty()) text += ", " + end->error();
    if (const std::string wrong = end->wrong_bytes(); !wrong.empty()) text += "; got " + wrong;
    return text + "\n";
  };
  return fmt::format("  port {}, accepted from {}, {}\n{}{}", slot.listener.port, slot.accepted_from,
                     describe(slot.plan), end_text("client", slot.client.get()),
                     end_text("server", slot.server.get()));
}

void Driver::give_up(Slot& slot, const std::string& why) {
  slot.given_up = why + "\n" + state_of(slot);
  if (slot.client) slot.client->give_up();
  if (slot.server) slot.server->give_up();
  slot.armed = {};
  slot.state = Slot::State::kAwaitsLines;
  slot.changed = now_;
}

void Driver::judge(Slot& slot) {
  auto lines = run_.ledger->take(slot.listener.port);
  const bool late = !lines && now_ - slot.changed > kLinesPatience + run_.patience;
  if (!lines && !late) return;
  const FlowPlan& plan = slot.plan;
  std::string wrong;
  const auto add = [&](const std::string& text) {
    if (!text.empty()) wrong += (wrong.empty() ? "" : "; ") + text;
  };
  if (!slot.given_up.empty()) {
    add(slot.given_up);
  } else {
    const End &client = *slot.client, &server = *slot.server;
    for (const auto& [who, end] : {std::pair{"client", &client}, {"server", &server}}) {
      if (const std::string bytes = end->wrong_bytes(); !bytes.empty())
        add(fmt::format("{} got {}", who, bytes));
      if (!end->error().empty()) add(fmt::format("{}: {}", who, end->error()));
    }
    if (!plan.resets() && client.was_reset()) add("the client was reset, and nobody had sent RST");
    if (!plan.resets() && server.was_reset()) add("the server was reset, and nobody had sent RST");
    if (plan.client.close == Close::kReset && !server.was_reset())
      add("the client's RST did not reach the server");
    if (plan.server.close == Close::kReset && !client.was_reset())
      add("the server's RST did not reach the client");
    if (plan.server.close == Close::kUnread && !run_.lossy &&
        client.received() + server.unsent() < plan.server.send)
      add(fmt::format("the answer was lost: {} of {} bytes came, and {} had not left the server",
                      client.received(), plan.server.send, server.unsent()));
    const auto logged = [](const test::AccessLine& line) {
      return LoggedFlow{line.flags, line.received, line.sent};
    };
    if (lines)
      add(compare(plan, {client.sent(), client.received(), server.sent(), server.received()},
                  logged(lines->outbound), logged(lines->inbound)));
  }
  if (late) {
    // Who dialled the server is in the line of the client's agent when there was nobody in between.
    const bool passed_by =
        !slot.accepted_from.empty() &&
        run_.ledger->have(slot.listener.port).find(" " + slot.accepted_from + " ") != std::string::npos;
    add(passed_by ? "the connection went past the server's agent, straight to the server"
                  : "no access-log line of both agents");
  }
  if (!wrong.empty()) {
    const std::string said = lines ? "  client's agent: " + lines->outbound.text +
                                         "\n  server's agent: " + lines->inbound.text + "\n"
                                   : run_.ledger->have(slot.listener.port);
    run_.failure(plan, wrong, state_of(slot) + said);
  }
  ++run_.flows;
  run_.bytes += (slot.client ? slot.client->received() : 0) + (slot.server ? slot.server->received() : 0);
  // Of a flow without its lines one might still come, and be taken for another's.
  slot.state = late || slot.strange ? Slot::State::kRetired : Slot::State::kFree;
}

void Driver::look_for_stuck() {
  for (const auto& slot : slots_) {
    if (run_.abandoned) {
      slot->state = Slot::State::kRetired;
      slot->client.reset();
      slot->server.reset();
    }
    if (slot->state != Slot::State::kRuns) continue;
    if (run_.hurry)
      give_up(*slot, "not done when the run was to end");
    else if (now_ - slot->changed > run_.patience)
      give_up(*slot, fmt::format("nothing moved for {} s", run_.patience.count() / 1000));
  }
}

void Driver::drive() {
  std::array<epoll_event, 128> events;
  MonotonicTime looked = monotonic_now();
  while (true) {
    now_ = monotonic_now();
    size_t busy = 0;
    Duration wait = std::chrono::milliseconds(200);
    for (const auto& owned : slots_) {
      Slot& slot = *owned;
      if (slot.state == Slot::State::kAwaitsLines) judge(slot);
      if (slot.state == Slot::State::kFree && begin(slot)) step(slot);
      if (slot.state == Slot::State::kAwaitsLines)
        wait = std::min<Duration>(wait, std::chrono::milliseconds(1));
      if (slot.state == Slot::State::kFree || slot.state == Slot::State::kRetired) continue;
      ++busy;
      if (slot.state != Slot::State::kRuns) continue;
      for (const End* end : {slot.client.get(), slot.server.get()}) {
        if (const auto wakes = end ? end->wakes() : std::nullopt) {
          if (*wakes <= now_) slot.dirty = true;
          wait = std::min(wait, std::max(*wakes - now_, Duration{}));
        }
      }
      if (slot.dirty) step(slot);
    }
    if (busy == 0) return;
    if (now_ - looked > std::chrono::milliseconds(250)) {
      looked = now_;
      look_for_stuck();
    }
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                 static_cast<int>(milliseconds));
    now_ = monotonic_now();
    for (int i = 0; i < count; ++i) {
      const uint64_t tag = events[static_cast<size_t>(i)].data.u64;
      Slot& slot = *slots_[tag / kWhichCount];
      const uint64_t which = tag % kWhichCount;
      if (which == kListener4) accept_on(slot, slot.listener.v4.get());
      if (which == kListener6) accept_on(slot, slot.listener.v6.get());
      if (which == kClient) slot.connecting = false;
      slot.dirty = true;
    }
    for (const auto& slot : slots_)
      if (slot->dirty) step(*slot);
  }
}

}  // namespace sockmesh::stress
