// The worker's thread and its flows.
#include "sockmap_world.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <stdexcept>

#include "datapath/epoll_relay.h"
#include "datapath/uring_relay.h"
#include "test_support/eventually.h"
#include "test_support/tcp_pair.h"

namespace sockmesh::test {

namespace {

template <typename T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

}  // namespace

SockmapWorld::SockmapWorld(const Options& options)
    : own_maps_(options.shared ? nullptr : must(bpf::SpliceMaps::load(options.maps))),
      maps_(options.shared ? *options.shared : *own_maps_),
      loop_(must(event::Loop::create(options.backend))),
      lane_(std::make_unique<datapath::SockmapLane>(*loop_, maps_, options.limits)),
      thread_([this] { loop_->run(); }) {}

SockmapWorld::~SockmapWorld() {
  run([this] { relays_.clear(); });
  loop_->stop();
  thread_.join();
}

SockmapWorld::Legs SockmapWorld::connect(bool ipv6) {
  auto [client, downstream] = tcp_pair(ipv6);
  auto [upstream, server] = tcp_pair(ipv6);
  for (const Fd* fd : {&downstream, &upstream}) fcntl(fd->get(), F_SETFL, O_NONBLOCK);
  return {std::move(client), std::move(server), {std::move(downstream), std::move(upstream)}};
}

SockmapWorld::Ends SockmapWorld::open(bool ipv6, datapath::SpliceWish wish,
                                      const datapath::RelayOptions& options) {
  Legs legs = connect(ipv6);
  const size_t flow = relay(std::move(legs.sockets), wish, options);
  return {std::move(legs.client), std::move(legs.server), flow};
}

size_t SockmapWorld::relay(datapath::Pair sockets, datapath::SpliceWish wish,
                           const datapath::RelayOptions& options) {
  const size_t flow = next_++;
  run([&] {
    const auto copying = [this](datapath::Pair pair, const datapath::RelayOptions& given,
                                datapath::Done done) -> std::unique_ptr<datapath::UserRelay> {
      if (loop_->uring())
        return std::make_unique<datapath::UringRelay>(*loop_, lane_->late_resets(), std::move(pair), given,
                                                      std::move(done));
      return std::make_unique<datapath::EpollRelay>(*loop_, lane_->late_resets(), std::move(pair), given,
                                                    std::move(done));
    };
    relays_[flow] = datapath::make_sockmap_relay(*lane_, copying, wish, std::move(sockets), options,
                                                 [this, flow](const datapath::Outcome& outcome) {
                                                   const Lock lock(mutex_);
                                                   outcomes_[flow] = outcome;
                                                   relays_.erase(flow);
                                                 });
  });
  return flow;
}

void SockmapWorld::run(const std::function<void()>& work) {
  std::promise<void> done;
  loop_->post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

datapath::Progress SockmapWorld::progress(size_t flow, const std::function<void()>& first) {
  datapath::Progress progress;
  run([&] {
    if (first) first();
    const auto found = relays_.find(flow);
    if (found != relays_.end()) {
      progress = found->second->progress();
    } else {
      const Lock lock(mutex_);
      progress = outcomes_.at(flow).progress;
    }
  });
  return progress;
}

void SockmapWorld::abort(size_t flow) {
  run([&] { relays_.at(flow)->abort(); });
}

void SockmapWorld::destroy(size_t flow) {
  run([&] { relays_.erase(flow); });
}

std::optional<datapath::Outcome> SockmapWorld::outcome(size_t flow) {
  const Lock lock(mutex_);
  const auto found = outcomes_.find(flow);
  return found == outcomes_.end() ? std::nullopt : std::optional(found->second);
}

datapath::Outcome SockmapWorld::wait_for_outcome(size_t flow) {
  if (!eventually([&] { return outcome(flow).has_value(); }))
    throw std::runtime_error("the flow did not end");
  return *outcome(flow);
}

size_t SockmapWorld::running() {
  size_t count = 0;
  run([&] { count = relays_.size(); });
  return count;
}

std::string drive(std::span<StreamEnd* const> ends, std::chrono::milliseconds deadline,
                  const std::function<bool()>& until) {
  const auto end_time = std::chrono::steady_clock::now() + deadline;
  while (!until()) {
    std::vector<pollfd> polls;
    std::string state;
    for (StreamEnd* end : ends) {
      if (!end->done()) end->step();
      if (!end->done() && end->wants() != 0) polls.push_back({end->fd(), end->wants(), 0});
      if (end->done() && !end->verdict().empty()) return end->verdict();
      state += fmt::format(" {} sent {} received;", end->report().sent, end->report().received);
    }
    if (std::chrono::steady_clock::now() > end_time) return "not in time:" + state;
    poll(polls.data(), polls.size(), 2);
  }
  return {};
}

void say(const Fd& from, const Fd& to, std::string_view text) {
  REQUIRE(send(from.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  std::string got(text.size(), '\0');
  REQUIRE(recv(to.get(), got.data(), got.size(), MSG_WAITALL) == static_cast<ssize_t>(text.size()));
  REQUIRE(got == text);
}

bool was_reset(const Fd& socket) {
  char byte;
  return recv(socket.get(), &byte, 1, 0) < 0 && errno == ECONNRESET;
}

}  // namespace sockmesh::test
