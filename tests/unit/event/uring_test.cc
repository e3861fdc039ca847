// The ring's own operations: receiving, sending, cancelling, and what their buffers cost.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>

#include "backends.h"
#include "event/uring_loop.h"
#include "test_support/skip.h"

namespace sockmesh::event {

namespace {

struct Op final : UringOp {
  std::function<void(const Completion&)> handler;
  void complete(const Completion& completion) override { handler(completion); }
};

// Null where the machine has none: the case is skipped then.
std::unique_ptr<Loop> ring_loop() {
  auto loop = Loop::create(Backend::kIoUring);
  if (loop) return std::move(*loop);
  test::skip_lane("io_uring: " + loop.error().message);
  return nullptr;
}

// Resident pages of a buffer area.
size_t resident_bytes(const BufferRing& buffers) {
  std::vector<unsigned char> pages(BufferRing::kBuffers * BufferRing::kBufferSize / 4096);
  REQUIRE(mincore(buffers.data(0), BufferRing::kBuffers * BufferRing::kBufferSize, pages.data()) == 0);
  size_t count = 0;
  for (const auto page : pages) count += page & 1;
  return count * 4096;
}

}  // namespace

TEST_CASE("a multishot receive brings every byte, then the end of stream") {
  auto loop = ring_loop();
  if (!loop) return;
  auto& ring = *loop->uring();
  auto [left, right] = stream_pair();
  std::string sent, got;
  for (int i = 0; i < 5000; ++i) sent += std::to_string(i);
  REQUIRE(write(left.get(), sent.data(), sent.size()) == static_cast<ssize_t>(sent.size()));
  left.reset();

  Op receive;
  receive.handler = [&](const Completion& done) {
    if (done.buffer >= 0) {
      const auto id = static_cast<uint16_t>(done.buffer);
      got.append(reinterpret_cast<const char*>(ring.buffers().data(id)), static_cast<size_t>(done.result));
      ring.buffers().give_back(id);
    }
    if (!done.last) return;
    CHECK(done.result == 0);
    loop->stop();
  };
  loop->post([&, r = &right] { ring.receive_multishot(receive, r->get()); });
  loop->run();
  CHECK(got == sent);
  CHECK(ring.buffers().in_use() == 0);
}

TEST_CASE("an operation that is cancelled ends, once") {
  auto loop = ring_loop();
  if (!loop) return;
  auto& ring = *loop->uring();
  auto [left, right] = stream_pair();
  Op receive;
  int ends = 0;
  receive.handler = [&](const Completion& done) {
    CHECK(done.result == -ECANCELED);
    CHECK(done.last);
    CHECK_FALSE(receive.in_flight());
    ++ends;
    loop->post([&] { loop->stop(); });
  };
  loop->post([&, r = &right] {
    ring.receive_multishot(receive, r->get());
    ring.cancel(receive);
    ring.cancel(receive);
  });
  loop->run();
  CHECK(ends == 1);
}

TEST_CASE("sending to a full socket says so and does not wait") {
  auto loop = ring_loop();
  if (!loop) return;
  auto& ring = *loop->uring();
  auto [left, right] = stream_pair();
  const std::vector<std::byte> much(1 << 20);
  Op send;
  size_t total = 0;
  send.handler = [&, l = &left](const Completion& done) {
    if (done.result == -EAGAIN) return loop->stop();
    REQUIRE(done.result > 0);
    total += static_cast<size_t>(done.result);
    ring.send_now(send, l->get(), much.data(), much.size());
  };
  loop->post([&, l = &left] { ring.send_now(send, l->get(), much.data(), much.size()); });
  loop->run();
  CHECK(total > 0);
}

TEST_CASE("an exhausted line of buffers ends the receive with ENOBUFS, and it can be started again") {
  auto loop = ring_loop();
  if (!loop) return;
  auto& ring = *loop->uring();
  auto [left, right] = stream_pair();
  std::vector<uint16_t> held;
  Op receive;
  bool refused = false, received_again = false;
  receive.handler = [&, l = &left, r = &right](const Completion& done) {
    if (done.buffer >= 0) held.push_back(static_cast<uint16_t>(done.buffer));
    if (done.last && done.result == -ENOBUFS) {
      CHECK(held.size() == BufferRing::kBuffers);  // every one of them is ours
      CHECK(ring.buffers().scarce());
      refused = true;
      for (const auto id : held) ring.buffers().give_back(id);
      held.clear();
      ring.receive_multishot(receive, r->get());
    } else if (refused) {
      received_again |= done.result > 0;
      loop->stop();
    } else {
      REQUIRE(done.result == 1);
      REQUIRE(write(l->get(), "x", 1) == 1);
    }
  };
  loop->post([&, l = &left, r = &right] {
    ring.receive_multishot(receive, r->get());
    REQUIRE(write(l->get(), "x", 1) == 1);
  });
  loop->run();
  CHECK(refused);
  CHECK(received_again);
  receive.handler = [](const Completion&) {};
  loop.reset();  // before what it has in flight
}

TEST_CASE("a quiet connection makes little memory resident, and a burst's is given back") {
  auto loop = ring_loop();
  if (!loop) return;
  auto& ring = *loop->uring();
  CHECK(resident_bytes(ring.buffers()) == 0);
  auto [left, right] = stream_pair();
  int rounds = 0;
  Op receive;
  receive.handler = [&, l = &left](const Completion& done) {
    ring.buffers().give_back(static_cast<uint16_t>(done.buffer));
    if (++rounds == 5000) return loop->stop();
    REQUIRE(write(l->get(), "x", 1) == 1);
  };
  loop->post([&, l = &left, r = &right] {
    ring.receive_multishot(receive, r->get());
    REQUIRE(write(l->get(), "x", 1) == 1);
  });
  loop->run();
  CHECK(resident_bytes(ring.buffers()) <= (BufferRing::kLongLine + 1) * 4096);

  // A burst that held them all.
  std::memset(ring.buffers().data(0), 1, BufferRing::kBuffers * BufferRing::kBufferSize);
  std::vector<uint16_t> held;
  rounds = 0;
  receive.handler = [&, l = &left](const Completion& done) {
    if (done.buffer >= 0) held.push_back(static_cast<uint16_t>(done.buffer));
    if (done.last) return loop->stop();
    REQUIRE(write(l->get(), "x", 1) == 1);
  };
  REQUIRE(write(left.get(), "x", 1) == 1);
  loop->run();
  CHECK(held.size() == BufferRing::kBuffers);
  for (const auto id : held) ring.buffers().give_back(id);
  ring.buffers().trim();
  CHECK(resident_bytes(ring.buffers()) <= BufferRing::kLongLine * BufferRing::kBufferSize);
  receive.handler = [](const Completion&) {};
  loop.reset();
}

TEST_CASE("a loop that is destroyed ends what is in flight") {
  auto loop = ring_loop();
  if (!loop) return;
  auto [left, right] = stream_pair();
  Op receive;
  bool ended = false;
  receive.handler = [&](const Completion& done) { ended = done.last && done.result == -ECANCELED; };
  loop->post([&, r = &right] {
    loop->uring()->receive_multishot(receive, r->get());
    loop->post([&] { loop->stop(); });
  });
  loop->run();
  CHECK(receive.in_flight());
  loop.reset();
  CHECK(ended);
}

}  // namespace sockmesh::event
