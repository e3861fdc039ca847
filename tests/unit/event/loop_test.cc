// What every loop promises, the same cases over each backend.
#include "event/loop.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "backends.h"
#include "event/watched_fd.h"

namespace sockmesh::event {

using std::chrono::milliseconds;

namespace {

void write_byte(const Fd& fd) { REQUIRE(write(fd.get(), "x", 1) == 1); }
void read_byte(int fd) {
  char byte;
  REQUIRE(read(fd, &byte, 1) == 1);
}

}  // namespace

TEST_CASE("a watch is level-triggered") {
  const auto backend = GENERATE(from_range(offered_backends()));
  auto loop = make_loop(backend);
  auto [left, right] = stream_pair();
  write_byte(left);
  int calls = 0;
  WatchedFd watched(std::move(right));
  watched.watch(*loop, EPOLLIN, [&](uint32_t events) {
    CHECK(events == EPOLLIN);
    if (++calls < 3) return;  // left alone: it comes again
    read_byte(watched.get());
    loop->stop();
  });
  loop->run();
  CHECK(calls == 3);
}

TEST_CASE("a paused watch is silent, and speaks again") {
  const auto backend = GENERATE(from_range(offered_backends()));
  auto loop = make_loop(backend);
  auto [left, right] = stream_pair();
  write_byte(left);
  int calls = 0;
  WatchedFd watched(std::move(right));
  watched.watch(*loop, 0, [&](uint32_t) {
    ++calls;
    loop->stop();
  });
  auto timer = loop->timer([&] {
    CHECK(calls == 0);
    watched.set_events(EPOLLIN);
  });
  timer->set(milliseconds(20));
  loop->run();
  CHECK(calls == 1);
}

TEST_CASE("a watch for writing on a half-closed socket does not come back for the half-close") {
  const auto backend = GENERATE(from_range(offered_backends()));
  auto loop = make_loop(backend);
  auto [left, right] = stream_pair();
  std::vector<char> much(1 << 20);
  while (write(right.get(), much.data(), much.size()) > 0) {
  }
  shutdown(left.get(), SHUT_WR);
  int calls = 0;
  WatchedFd watched(std::move(right));
  watched.watch(*loop, EPOLLOUT, [&](uint32_t) { ++calls; });
  auto timer = loop->timer([&] { loop->stop(); });
  timer->set(milliseconds(20));
  loop->run();
  CHECK(calls == 0);
}

TEST_CASE("errors and hang-ups reach a paused watch") {
  const auto backend = GENERATE(from_range(offered_backends()));
  auto loop = make_loop(backend);
  auto [left, right] = stream_pair();
  WatchedFd watched(std::move(right));
  watched.watch(*loop, 0, [&](uint32_t events) {
    CHECK((events & EPOLLHUP) != 0);
    watched.unwatch();  // its own
    loop->stop();
  });
  const linger reset{.l_onoff = 1, .l_linger = 0};
  setsockopt(left.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  left.reset();
  loop->run();
}

TEST_CASE("a callback may destroy a watch that is ready in the same turn") {
  const auto backend = GENERATE(from_range(offered_backends()));
  auto loop = make_loop(backend);
  auto [a, b] = stream_pair();
  auto [c, d] = stream_pair();
  write_byte(a);
  write_byte(c);
  WatchedFd first(std::move(b)), second(std::move(d));
  int calls = 0;
  first.watch(*loop, EPOLLIN, [&](uint32_t) {
    ++calls;
    second.unwatch();
    first.unwatch();
  });
  second.watch(*loop, EPOLLIN, [&](uint32_t) {
    ++calls;
    first.unwatch();
    second.unwatch();
  });
  auto timer = loop->timer([&] { loop->stop(); });
  timer->set(milliseconds(10));
  loop->run();
  CHECK(calls == 1);
}

TEST_CASE("a descriptor can be closed and its number watched again at once") {
  const auto backend = GENERATE(from_range(offered_backends()));
  auto loop = make_loop(backend);
  auto [left, right] = stream_pair();
  auto [other, spare] = stream_pair();
  write_byte(left);
  WatchedFd watched(std::move(right)), reused;
  int second_calls = 0;
  watched.watch(*loop, EPOLLIN, [&, s = &spare](uint32_t) {
    const int number = watched.get();
    watched.reset();
    reused = WatchedFd(Fd(dup3(s->get(), number, O_CLOEXEC)));
    REQUIRE(reused.get() == number);
    reused.watch(*loop, EPOLLIN, [&](uint32_t) {
      ++second_calls;
      loop->stop();
    });
  });
  auto timer = loop->timer([&, o = &other] {
    CHECK(second_calls == 0);
    write_byte(*o);
  });
  timer->set(milliseconds(10));
  loop->run();
  CHECK(second_calls == 1);
}

TEST_CASE("timers keep their time, and now() stands still within a turn") {
  const auto backend = GENERATE(from_range(offered_backends()));
  auto loop = make_loop(backend);
  const auto start = monotonic_now();
  MonotonicTime fired_at;
  auto cancelled = loop->timer([&] { FAIL("was cancelled"); });
  cancelled->set(milliseconds(5));
  auto timer = loop->timer([&] {
    fired_at = loop->now();
    CHECK(loop->now() == fired_at);
    loop->stop();
  });
  timer->set(milliseconds(30));
  cancelled->cancel();
  loop->run();
  CHECK(fired_at - start >= milliseconds(30));
}

TEST_CASE("posted work runs in order, and what it posts runs as well") {
  const auto backend = GENERATE(from_range(offered_backends()));
  auto loop = make_loop(backend);
  constexpr int kPosts = 10000;
  std::vector<int> seen;
  std::thread poster([&] {
    for (int i = 0; i < kPosts; ++i) loop->post([&, i] { seen.push_back(i); });
    loop->post([&] { loop->post([&] { loop->stop(); }); });
  });
  loop->run();
  poster.join();
  REQUIRE(seen.size() == kPosts);
  CHECK(std::is_sorted(seen.begin(), seen.end()));
}

TEST_CASE("stop() before run() is not lost, and a loop runs again") {
  const auto backend = GENERATE(from_range(offered_backends()));
  auto loop = make_loop(backend);
  loop->stop();
  loop->run();
  int ran = 0;
  loop->post([&] {
    ++ran;
    loop->stop();
  });
  loop->run();
  CHECK(ran == 1);
}

TEST_CASE("many loops, each made here and run in a thread of its own") {
  const auto backend = GENERATE(from_range(offered_backends()));
  constexpr int kLoops = 6, kRounds = 300;
  std::vector<std::unique_ptr<Loop>> loops;
  for (int i = 0; i < kLoops; ++i) loops.push_back(make_loop(backend));
  // A token goes round all of them.
  std::atomic<int> hops{0};
  std::function<void(int)> pass = [&](int at) {
    if (++hops == kRounds * kLoops) {
      for (auto& loop : loops) loop->stop();
      return;
    }
    const int next = (at + 1) % kLoops;
    loops[static_cast<size_t>(next)]->post([&, next] { pass(next); });
  };
  std::vector<std::thread> threads;
  for (auto& loop : loops) threads.emplace_back([&loop] { loop->run(); });
  loops[0]->post([&] { pass(0); });
  for (auto& thread : threads) thread.join();
  CHECK(hops == kRounds * kLoops);
}

}  // namespace sockmesh::event
