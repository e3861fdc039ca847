#include "load.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "base/clock.h"
#include "protocol.h"
#include "sockets.h"

namespace sockmesh::bench {
namespace {

constexpr std::chrono::milliseconds kWarmUp{100};

struct Flow {
  Fd fd;
  MonotonicTime sent_at;
  uint32_t missing = 0;  // bytes of the answer that are not in yet
};

std::vector<Flow> open_flows(const Load& load, Kind kind) {
  std::vector<Flow> flows(load.connections);
  for (Flow& flow : flows) {
    flow.fd = connect_to(load.server);
    const Greeting greeting{kind, load.size};
    send_all(flow.fd.get(), &greeting, sizeof greeting);
  }
  return flows;
}

double percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto at =
      values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

Measured measure_exchanges(const Load& load) {
  std::vector<Flow> flows = open_flows(load, Kind::kExchange);
  const std::vector<char> request(load.size, 'x');
  std::vector<char> answer(load.size);
  const Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  const auto ask = [&](Flow& flow) {
    flow.sent_at = monotonic_now();
    flow.missing = load.size;
    send_all(flow.fd.get(), request.data(), request.size());
  };
  for (size_t i = 0; i < flows.size(); ++i) {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
    epoll_ctl(epoll.get(), EPOLL_CTL_ADD, flows[i].fd.get(), &event);
    ask(flows[i]);
  }

  std::vector<double> micros;
  const auto begin = monotonic_now() + kWarmUp;
  const auto end = begin + load.time;
  auto now = monotonic_now();
  while (now < end) {
    std::array<epoll_event, 64> events;
    const int count = epoll_wait(epoll.get(), events.data(), events.size(), 1000);
    for (int i = 0; i < count; ++i) {
      Flow& flow = flows[events[static_cast<size_t>(i)].data.u64];
      const ssize_t got = recv(flow.fd.get(), answer.data(), flow.missing, MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) die("recv: connection ended early");
      flow.missing -= static_cast<uint32_t>(got);
      if (flow.missing > 0) continue;
      now = monotonic_now();
      if (flow.sent_at >= begin) micros.push_back(seconds(now - flow.sent_at) * 1e6);
      ask(flow);
    }
    now = monotonic_now();
  }
  Measured result;
  result.per_second = static_cast<double>(micros.size()) / seconds(now - begin);
  result.p50 = percentile(micros, 0.5);
  result.p99 = percentile(micros, 0.99);
  return result;
}

Measured measure_bulk(const Load& load) {
  std::vector<Flow> flows = open_flows(load, Kind::kBulk);
  const std::vector<char> data(load.size, 'x');
  const Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  for (size_t i = 0; i < flows.size(); ++i) {
    epoll_event event{.events = EPOLLOUT, .data = {.u64 = i}};
    epoll_ctl(epoll.get(), EPOLL_CTL_ADD, flows[i].fd.get(), &event);
  }
  const auto begin = monotonic_now();
  while (monotonic_now() < begin + load.time) {
    std::array<epoll_event, 64> events;
    const int count = epoll_wait(epoll.get(), events.data(), events.size(), 1000);
    for (int i = 0; i < count; ++i) {
      const int fd = flows[events[static_cast<size_t>(i)].data.u64].fd.get();
      if (send(fd, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN) die("send");
    }
  }
  // What was sent has to arrive before it counts, so the server's own numbers end the measurement.
  uint64_t total = 0;
  for (Flow& flow : flows) shutdown(flow.fd.get(), SHUT_WR);
  for (Flow& flow : flows) {
    uint64_t count = 0;
    read_all(flow.fd.get(), &count, sizeof count);
    total += count;
  }
  return {.per_second = static_cast<double>(total) / seconds(monotonic_now() - begin)};
}

}  // namespace sockmesh::bench
