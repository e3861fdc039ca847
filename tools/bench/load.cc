#include "load.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <fstream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "protocol.h"
#include "sockets.h"

namespace sockmesh::bench {
namespace {

constexpr std::chrono::milliseconds kWarmUp{100};

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

// Of all processors: what is neither idle nor waiting for a disk (proc_stat(5)).
double busy_cpu_seconds() {
  std::ifstream file("/proc/stat");
  std::string name;
  uint64_t user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0;
  file >> name >> user >> nice >> system >> idle >> iowait >> irq >> softirq;
  return static_cast<double>(user + nice + system + irq + softirq) /
         static_cast<double>(sysconf(_SC_CLK_TCK));
}

double percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto at =
      values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

// What happens between the end of the warm-up and the end, each operation by when it began and was over.
class Window {
 public:
  explicit Window(const Load& load)
      : begin_(monotonic_now() + kWarmUp), end_(begin_ + load.time), now_(monotonic_now()) {}

  // The time, looked at once more; counting starts when it is past the warm-up.
  MonotonicTime look() {
    now_ = monotonic_now();
    if (!counting_ && now_ >= begin_) {
      counting_ = true;
      began_ = now_;
      cpu_ = busy_cpu_seconds();
    }
    return now_;
  }
  bool open() const { return now_ < end_; }
  void done(MonotonicTime began) {
    if (counting_ && began >= began_) micros_.push_back(seconds(now_ - began) * 1e6);
  }
  void arrived(size_t bytes) {
    if (counting_) bytes_ += static_cast<double>(bytes);
  }

  Measured close() {
    look();
    Measured result;
    result.operations = micros_.empty() ? bytes_ : static_cast<double>(micros_.size());
    result.seconds = seconds(now_ - began_);
    result.cpu_seconds = busy_cpu_seconds() - cpu_;
    result.p50 = percentile(micros_, 0.5);
    result.p99 = percentile(micros_, 0.99);
    result.p999 = percentile(micros_, 0.999);
    return result;
  }

 private:
  const MonotonicTime begin_, end_;
  MonotonicTime now_, began_{};
  bool counting_ = false;
  double cpu_ = 0, bytes_ = 0;
  std::vector<double> micros_;
};

class Epoll {
 public:
  void add(int fd, uint64_t number, uint32_t events) { control(EPOLL_CTL_ADD, fd, number, events); }
  void change(int fd, uint64_t number, uint32_t events) { control(EPOLL_CTL_MOD, fd, number, events); }
  // Calls `ready` with the number of each; waits at most that long.
  template <typename Ready>
  void wait(std::chrono::milliseconds at_most, Ready ready) {
    std::array<epoll_event, 64> events;
    const int count = epoll_wait(fd_.get(), events.data(), events.size(), static_cast<int>(at_most.count()));
    for (int i = 0; i < count; ++i) ready(events[static_cast<size_t>(i)].data.u64);
  }

 private:
  void control(int what, int fd, uint64_t number, uint32_t events) {
    epoll_event event{.events = events, .data = {.u64 = number}};
    if (epoll_ctl(fd_.get(), what, fd, &event) != 0) die("epoll_ctl");
  }
  const Fd fd_{epoll_create1(EPOLL_CLOEXEC)};
};

constexpr std::chrono::milliseconds kLongWait{1000};

// To the microsecond, which the time-out of epoll_wait() is not.
class Alarm {
 public:
  int fd() const { return fd_.get(); }
  void set(MonotonicTime at) {
    const auto since = at.time_since_epoch();
    itimerspec when{};
    when.it_value.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(since).count();
    when.it_value.tv_nsec = (since % std::chrono::seconds(1)).count();
    timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
  }
  void clear() {
    uint64_t turns;
    (void)!read(fd_.get(), &turns, sizeof turns);
  }

 private:
  const Fd fd_{timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
};

struct Flow {
  Fd fd;
  MonotonicTime began{};
  uint32_t missing = 0;           // bytes of the answer that are not in yet
  std::deque<MonotonicTime> due;  // of a paced one: when what was not sent yet should have been
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

// Whether the answer is complete now.
bool take_answer(Flow& flow, std::vector<char>& buffer) {
  const ssize_t got = recv(flow.fd.get(), buffer.data(), flow.missing, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return false;
  if (got <= 0) die("recv: connection ended early");
  flow.missing -= static_cast<uint32_t>(got);
  return flow.missing == 0;
}

}  // namespace

Measured measure_exchanges(const Load& load) {
  std::vector<Flow> flows = open_flows(load, Kind::kExchange);
  const std::vector<char> request(load.size, 'x');
  std::vector<char> answer(load.size);
  Epoll epoll;
  Window window(load);
  const auto ask = [&](Flow& flow) {
    flow.began = window.look();
    flow.missing = load.size;
    send_all(flow.fd.get(), request.data(), request.size());
  };
  for (size_t i = 0; i < flows.size(); ++i) {
    epoll.add(flows[i].fd.get(), i, EPOLLIN);
    ask(flows[i]);
  }
  while (window.open()) {
    epoll.wait(kLongWait, [&](uint64_t number) {
      Flow& flow = flows[number];
      if (!take_answer(flow, answer)) return;
      window.look();
      window.done(flow.began);
      ask(flow);
    });
    window.look();
  }
  return window.close();
}

Measured measure_connections(const Load& load) {
  std::vector<char> opening(sizeof(Greeting) + load.size, 'x');
  const Greeting greeting{Kind::kExchange, load.size};
  std::memcpy(opening.data(), &greeting, sizeof greeting);
  std::vector<char> answer(load.size);
  std::vector<Flow> flows(load.connections);
  Epoll epoll;
  Window window(load);
  const auto begin = [&](size_t number) {
    Flow& flow = flows[number];
    flow.began = window.look();
    flow.missing = load.size;
    flow.fd = start_connecting(load.server);
    epoll.add(flow.fd.get(), number, EPOLLOUT);
  };
  std::vector<bool> asked(flows.size());
  for (size_t i = 0; i < flows.size(); ++i) begin(i);
  while (window.open()) {
    epoll.wait(kLongWait, [&](uint64_t number) {
      Flow& flow = flows[number];
      if (!asked[number]) {
        asked[number] = true;
        send_all(flow.fd.get(), opening.data(), opening.size());
        return epoll.change(flow.fd.get(), number, EPOLLIN);
      }
      if (!take_answer(flow, answer)) return;
      flow.fd.reset();
      window.look();
      window.done(flow.began);
      asked[number] = false;
      begin(number);
    });
    window.look();
  }
  return window.close();
}

Measured measure_paced(const Load& load) {
  std::vector<Flow> flows = open_flows(load, Kind::kExchange);
  const std::vector<char> request(load.size, 'x');
  std::vector<char> answer(load.size);
  Epoll epoll;
  for (size_t i = 0; i < flows.size(); ++i) epoll.add(flows[i].fd.get(), i, EPOLLIN);
  Alarm timer;
  epoll.add(timer.fd(), flows.size(), EPOLLIN);
  Window window(load);
  const auto ask_next = [&](Flow& flow) {
    if (flow.missing > 0 || flow.due.empty()) return;
    flow.began = flow.due.front();
    flow.due.pop_front();
    flow.missing = load.size;
    send_all(flow.fd.get(), request.data(), request.size());
  };
  const Duration pause(static_cast<int64_t>(1e9 / load.rate));
  MonotonicTime next = window.look();
  size_t turn = 0;
  while (window.open()) {
    for (; next <= window.look(); next += pause) {
      Flow& flow = flows[turn++ % flows.size()];
      flow.due.push_back(next);
      ask_next(flow);
    }
    timer.set(next);
    epoll.wait(kLongWait, [&](uint64_t number) {
      if (number == flows.size()) return timer.clear();
      Flow& flow = flows[number];
      if (!take_answer(flow, answer)) return;
      window.look();
      window.done(flow.began);
      ask_next(flow);
    });
  }
  return window.close();
}

Measured measure_upload(const Load& load) {
  std::vector<Flow> flows = open_flows(load, Kind::kUpload);
  const std::vector<char> data(load.size, 'x');
  Epoll epoll;
  for (size_t i = 0; i < flows.size(); ++i) epoll.add(flows[i].fd.get(), i, EPOLLOUT);
  const auto begin = monotonic_now();
  const double cpu = busy_cpu_seconds();
  while (monotonic_now() < begin + load.time) {
    epoll.wait(kLongWait, [&](uint64_t number) {
      if (send(flows[number].fd.get(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
          errno != EAGAIN)
        die("send");
    });
  }
  // What was sent has to arrive before it counts, so the server's own numbers end the measurement.
  uint64_t total = 0;
  for (Flow& flow : flows) shutdown(flow.fd.get(), SHUT_WR);
  for (Flow& flow : flows) {
    uint64_t count = 0;
    read_all(flow.fd.get(), &count, sizeof count);
    total += count;
  }
  return {.operations = static_cast<double>(total),
          .seconds = seconds(monotonic_now() - begin),
          .cpu_seconds = busy_cpu_seconds() - cpu};
}

Measured measure_download(const Load& load) {
  std::vector<Flow> flows = open_flows(load, Kind::kDownload);
  std::vector<char> buffer(256 * 1024);
  Epoll epoll;
  for (size_t i = 0; i < flows.size(); ++i) epoll.add(flows[i].fd.get(), i, EPOLLIN);
  Window window(load);
  while (window.open()) {
    epoll.wait(kLongWait, [&](uint64_t number) {
      const ssize_t got = recv(flows[number].fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) die("recv: connection ended early");
      window.arrived(static_cast<size_t>(got));
    });
    window.look();
  }
  return window.close();
}

void hold_idle(const Load& load) {
  std::vector<Flow> flows = open_flows(load, Kind::kExchange);
  std::vector<char> bytes(load.size, 'x');
  for (Flow& flow : flows) {
    send_all(flow.fd.get(), bytes.data(), bytes.size());
    read_all(flow.fd.get(), bytes.data(), bytes.size());
  }
  std::puts("ready");
  std::fflush(stdout);
  while (std::getchar() != EOF) continue;
}

void burn() {
  volatile uint64_t turns = 0;
  while (true) turns = turns + 1;
}

}  // namespace sockmesh::bench
