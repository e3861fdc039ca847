#include "relay_world.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/capability.h>
#include <sys/socket.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <future>
#include <iterator>
#include <stdexcept>

#include "test_support/eventually.h"
#include "test_support/tcp_pair.h"

namespace sockmesh::test {

using datapath::Mode;
using event::Backend;

namespace {

Result<std::unique_ptr<bpf::SpliceMaps>> load_maps(size_t workers) {
  return bpf::SpliceMaps::load({.slots = 4096, .rings = static_cast<uint32_t>(workers)});
}

}  // namespace

const std::vector<LaneSpec>& offered_lanes() {
  static const std::vector<LaneSpec> offered = [] {
    std::vector<LaneSpec> lanes{{"epoll", Mode::kEpoll, Backend::kEpoll}};
    const bool ring = event::Loop::create(Backend::kIoUring).has_value();
    if (ring) lanes.push_back({"io_uring", Mode::kIoUring, Backend::kIoUring});
    if (load_maps(1)) {
      lanes.push_back({"sk_skb over epoll", Mode::kSockmap, Backend::kEpoll});
      if (ring) lanes.push_back({"sk_skb over io_uring", Mode::kSockmap, Backend::kIoUring});
    }
    return lanes;
  }();
  return offered;
}

std::string missing_lanes() {
  std::string text;
  if (auto ring = event::Loop::create(Backend::kIoUring); !ring)
    text += "io_uring: " + ring.error().message + "; ";
  if (auto maps = load_maps(1); !maps) text += "sk_skb: " + maps.error().message + "; ";
  return text;
}

std::vector<Cell> matrix() {
  std::vector<Cell> cells;
  for (const auto& lane : offered_lanes()) {
    for (const bool ipv6 : {false, true}) cells.push_back({lane, ipv6});
  }
  return cells;
}

std::string describe(const Cell& cell) { return cell.lane.name + (cell.ipv6 ? ", IPv6" : ", IPv4"); }

Legs connect_legs(bool ipv6) {
  auto [client, downstream] = tcp_pair(ipv6);
  auto [upstream, server] = tcp_pair(ipv6);
  for (const Fd* fd : {&client, &downstream, &upstream, &server}) {
    if (fcntl(fd->get(), F_SETFL, O_NONBLOCK) != 0) throw std::runtime_error(os_error("fcntl").message);
  }
  return {std::move(client), std::move(server), {std::move(downstream), std::move(upstream)}};
}

RelayWorld::RelayWorld(const LaneSpec& lane, size_t workers) {
  if (lane.mode == Mode::kSockmap) {
    auto maps = load_maps(workers);
    if (!maps) throw std::runtime_error(maps.error().message);
    maps_ = std::move(*maps);
  }
  for (size_t i = 0; i < workers; ++i) {
    auto worker = std::make_unique<Worker>();
    auto loop = event::Loop::create(lane.backend);
    if (!loop) throw std::runtime_error(loop.error().message);
    worker->loop = std::move(*loop);
    worker->path = datapath::DataPath::create(*worker->loop, lane.mode, maps_.get(), "");
    worker->thread = std::thread([w = worker.get()] { w->loop->run(); });
    workers_.push_back(std::move(worker));
  }
}

RelayWorld::~RelayWorld() {
  for (auto& worker : workers_) {
    run(*worker, [&] { worker->relays.clear(); });
    // The rest in its own thread as well: a ring belongs to the thread that ran it.
    worker->loop->stop();
    worker->thread.join();
    worker->path.reset();
    worker->loop.reset();
  }
}

void RelayWorld::run(Worker& worker, const std::function<void()>& work) {
  std::promise<void> ran;
  worker.loop->post([&] {
    work();
    ran.set_value();
  });
  ran.get_future().wait();
}

size_t RelayWorld::relay(datapath::Pair sockets, const datapath::RelayOptions& options) {
  const size_t flow = next_++;
  Worker& worker = worker_of(flow);
  run(worker, [&] {
    worker.relays[flow] = worker.path->relay(std::move(sockets), options,
                                             [this, flow, &worker](const datapath::Outcome& outcome) {
                                               const Lock lock(mutex_);
                                               outcomes_[flow].push_back(outcome);
                                               worker.relays.erase(flow);
                                             });
  });
  return flow;
}

datapath::Progress RelayWorld::progress(size_t flow) {
  Worker& worker = worker_of(flow);
  datapath::Progress progress;
  run(worker, [&] {
    if (const auto found = worker.relays.find(flow); found != worker.relays.end()) {
      progress = found->second->progress();
    }
  });
  return progress;
}

void RelayWorld::abort(size_t flow) {
  Worker& worker = worker_of(flow);
  run(worker, [&] {
    if (const auto found = worker.relays.find(flow); found != worker.relays.end()) found->second->abort();
  });
}

void RelayWorld::destroy(size_t flow) {
  Worker& worker = worker_of(flow);
  run(worker, [&] { worker.relays.erase(flow); });
}

std::optional<datapath::Outcome> RelayWorld::outcome(size_t flow) {
  const Lock lock(mutex_);
  const auto found = outcomes_.find(flow);
  if (found == outcomes_.end()) return std::nullopt;
  return found->second.front();
}

int RelayWorld::outcomes_told(size_t flow) {
  const Lock lock(mutex_);
  const auto found = outcomes_.find(flow);
  return found == outcomes_.end() ? 0 : static_cast<int>(found->second.size());
}

datapath::Outcome RelayWorld::wait_for_outcome(size_t flow) {
  if (!eventually([&] { return outcome(flow).has_value(); }, std::chrono::seconds(20))) {
    throw std::runtime_error(fmt::format("flow {} does not end", flow));
  }
  return *outcome(flow);
}

datapath::LaneStats RelayWorld::stats() {
  datapath::LaneStats sum;
  for (const auto& worker : workers_) sum += worker->path->stats();
  return sum;
}

void RelayWorld::drop_capabilities() {
  for (const auto& worker : workers_) {
    run(*worker, [] {
      cap_t none = cap_init();
      cap_set_proc(none);  // of the calling thread
      cap_free(none);
    });
  }
}

void put(const Fd& fd, const std::string& text) {
  REQUIRE(send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
}

bool wait_readable(const Fd& fd) {
  pollfd one{fd.get(), POLLIN, 0};
  return poll(&one, 1, static_cast<int>(patient(std::chrono::seconds(30)).count())) == 1;
}

std::string get(const Fd& fd, size_t size) {
  std::string text(size, '\0');
  size_t have = 0;
  while (have < size && wait_readable(fd)) {
    const ssize_t got = recv(fd.get(), text.data() + have, size - have, 0);
    if (got <= 0) break;
    have += static_cast<size_t>(got);
  }
  text.resize(have);
  return text;
}

std::ostream& operator<<(std::ostream& out, End end) {
  return out << (end == End::kFin ? "FIN" : end == End::kRst ? "RST" : "nothing");
}

End wait_for_end(const Fd& fd) {
  char buffer[4096];
  while (wait_readable(fd)) {
    const ssize_t got = recv(fd.get(), buffer, sizeof buffer, 0);
    if (got == 0) return End::kFin;
    if (got < 0) return errno == ECONNRESET || errno == EPIPE ? End::kRst : End::kNone;
  }
  return End::kNone;
}

void reset_close(Fd& fd) {
  const linger abrupt{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
  fd.reset();
}

size_t open_descriptors() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

}  // namespace sockmesh::test
