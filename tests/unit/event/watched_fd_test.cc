// Whatever its owner does with a watched descriptor, and in whatever order: the watch goes first, and nobody
// else's watch goes with it.
#include "event/watched_fd.h"

#include <unistd.h>

#include <cerrno>

#include "backends.h"

namespace sockmesh::event {

using std::chrono::milliseconds;

namespace {

bool open_descriptor(int fd) { return fcntl(fd, F_GETFD) >= 0; }

// Runs one short while of the loop.
void turn(Loop& loop) {
  const auto timer = loop.timer([&] { loop.stop(); });
  timer->set(milliseconds(5));
  loop.run();
}

struct Watched {
  explicit Watched(Loop& loop) {
    auto [left, right] = stream_pair();
    peer = std::move(left);
    fd = WatchedFd(std::move(right));
    fd.watch(loop, EPOLLIN, [this](uint32_t) { ++calls; });
    REQUIRE(write(peer.get(), "x", 1) == 1);
  }
  Fd peer;
  WatchedFd fd;
  int calls = 0;
};

}  // namespace

TEST_CASE("a watched descriptor can be closed, given away, replaced or forgotten: its watch goes first") {
  const auto backend = GENERATE(from_range(offered_backends()));
  auto loop = make_loop(backend);
  auto one = std::make_unique<Watched>(*loop);
  const int number = one->fd.get();
  const auto is_silent = [&] {
    const int before = one->calls;
    turn(*loop);
    return one->calls == before;
  };
  CHECK_FALSE(is_silent());

  SECTION("closed") {
    one->fd.reset();
    CHECK_FALSE(open_descriptor(number));
    CHECK(is_silent());
    one->fd.set_events(EPOLLIN);  // nothing to watch any more
    one->fd.unwatch();
    one->fd.reset();
  }
  SECTION("given away") {
    const Fd taken = one->fd.release();
    CHECK(taken.get() == number);
    CHECK_FALSE(one->fd);
    CHECK(is_silent());
  }
  SECTION("replaced") {
    auto [left, right] = stream_pair();
    one->fd = WatchedFd(std::move(right));
    CHECK_FALSE(open_descriptor(number));
    CHECK_FALSE(one->fd.watched());
    CHECK(is_silent());
  }
  SECTION("forgotten") {
    one.reset();
    CHECK_FALSE(open_descriptor(number));
    turn(*loop);
  }
  SECTION("moved: the watch goes with it") {
    WatchedFd other = std::move(one->fd);
    CHECK(other.get() == number);
    CHECK_FALSE(is_silent());
    other.reset();
    CHECK(is_silent());
  }
}

TEST_CASE("closing never ends the watch of the next one with the same number") {
  const auto backend = GENERATE(from_range(offered_backends()));
  auto loop = make_loop(backend);
  Watched first(*loop);
  const int number = first.fd.get();
  auto [left, right] = stream_pair();
  REQUIRE(write(left.get(), "x", 1) == 1);
  first.fd.reset();
  REQUIRE(dup3(right.get(), number, O_CLOEXEC) == number);
  WatchedFd next{Fd(number)};
  int calls = 0;
  next.watch(*loop, EPOLLIN, [&](uint32_t) { ++calls; });
  first.fd.unwatch();
  first.fd.reset();
  turn(*loop);
  CHECK(calls > 0);
}

TEST_CASE("a watch that replaces a watch is the only one") {
  const auto backend = GENERATE(from_range(offered_backends()));
  auto loop = make_loop(backend);
  Watched one(*loop);
  int calls = 0;
  one.fd.watch(*loop, EPOLLIN, [&](uint32_t) { ++calls; });
  turn(*loop);
  CHECK(one.calls == 0);
  CHECK(calls > 0);
}

TEST_CASE("a callback may close, replace or destroy the descriptor it was called for") {
  const auto backend = GENERATE(from_range(offered_backends()));
  auto loop = make_loop(backend);
  auto [left, right] = stream_pair();
  REQUIRE(write(left.get(), "x", 1) == 1);
  auto own = std::make_unique<WatchedFd>(std::move(right));
  const int number = own->get();
  int calls = 0;
  const int how = GENERATE(0, 1, 2);
  own->watch(*loop, EPOLLIN, [&, how](uint32_t) {
    ++calls;
    if (how == 0) own->reset();
    if (how == 1) *own = WatchedFd();
    if (how == 2) own.reset();
  });
  turn(*loop);
  CHECK(calls == 1);
  CHECK_FALSE(open_descriptor(number));
}

TEST_CASE("a duplicate is watched whatever the owner of the descriptor does") {
  const auto backend = GENERATE(from_range(offered_backends()));
  auto loop = make_loop(backend);
  auto [left, right] = stream_pair();
  auto copy = WatchedFd::duplicate(right.get());
  REQUIRE(copy);
  int calls = 0;
  copy->watch(*loop, EPOLLIN, [&](uint32_t) { ++calls; });
  REQUIRE(write(left.get(), "x", 1) == 1);
  right.reset();
  turn(*loop);
  CHECK(calls > 0);

  const auto none = WatchedFd::duplicate(right.get());
  REQUIRE_FALSE(none);
  CHECK(none.error().os_error == EBADF);
}

}  // namespace sockmesh::event
