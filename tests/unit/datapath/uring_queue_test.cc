// ChunkQueue: bytes in buffers of a ring, in order, and every buffer back where it belongs.
#include "datapath/uring_queue.h"

#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <string>

#include "event/loop.h"
#include "event/uring_loop.h"
#include "test_support/skip.h"
#include "test_support/tcp_pair.h"

namespace sockmesh::datapath {

namespace {

struct Receive final : event::UringOp {
  std::function<void(const event::Completion&)> handler;
  void complete(const event::Completion& completion) override { handler(completion); }
};

// A ring whose buffers are filled the only way there is: by receiving.
class Ring {
 public:
  Ring() : ends_(test::tcp_pair(false)) {
    auto made = event::Loop::create(event::Backend::kIoUring);
    if (made)
      loop_ = std::move(*made);
    else
      test::skip_lane("io_uring: " + made.error().message);
  }
  ~Ring() {
    receive_.handler = [](const event::Completion&) {};
    loop_.reset();
  }
  // False where the machine has no rings: the case is skipped then.
  explicit operator bool() const { return loop_ != nullptr; }
  event::BufferRing& buffers() { return loop_->uring()->buffers(); }

  // Sends `text` to itself; the buffer it arrived in.
  uint16_t receive(const std::string& text) {
    REQUIRE(write(ends_.first.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    int buffer = -1;
    receive_.handler = [&](const event::Completion& done) {
      REQUIRE(done.result == static_cast<int>(text.size()));
      buffer = done.buffer;
      loop_->stop();
    };
    if (!receive_.in_flight()) {
      loop_->post([&] { loop_->uring()->receive_multishot(receive_, ends_.second.get()); });
    }
    loop_->run();
    REQUIRE(buffer >= 0);
    return static_cast<uint16_t>(buffer);
  }

 private:
  std::pair<Fd, Fd> ends_;
  std::unique_ptr<event::Loop> loop_;
  Receive receive_;
};

std::string content(ChunkQueue& queue) {
  std::array<iovec, 64> pieces;
  size_t bytes = 0;
  const size_t count = queue.gather(pieces, bytes);
  std::string text;
  for (size_t i = 0; i < count; ++i)
    text.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
  CHECK(text.size() == bytes);
  return text;
}

}  // namespace

TEST_CASE("pieces stay in order, small ones share a buffer, and all buffers come back") {
  Ring ring;
  if (!ring) return;
  {
    ChunkQueue queue(ring.buffers());
    std::string expected;
    const auto add = [&](const std::string& text) {
      queue.add(ring.receive(text), text.size());
      expected += text;
    };
    add(std::string(5000, 'a'));
    add("bc");
    add("d");
    CHECK(ring.buffers().in_use() == 1);
    add(std::string(4000, 'e'));
    CHECK(ring.buffers().in_use() == 2);
    CHECK(content(queue) == expected);

    // Partly sent, within a piece and across pieces.
    for (const size_t count : {1u, 4998u, 3u, 500u}) {
      queue.drop(count);
      expected.erase(0, count);
      CHECK(content(queue) == expected);
      CHECK(queue.size() == expected.size());
    }
    CHECK(ring.buffers().in_use() == 1);
    add("f");
    CHECK(content(queue) == expected);

    SECTION("spilled, all buffers are free, and the order is kept") {
      queue.spill();
      CHECK(ring.buffers().in_use() == 0);
      queue.add_copy(std::as_bytes(std::span("gh", 2)));
      expected += "gh";
      add(std::string(600, 'i'));
      CHECK(content(queue) == expected);
      queue.drop(10);
      queue.spill();
      expected.erase(0, 10);
      CHECK(content(queue) == expected);
      queue.drop(expected.size());
      CHECK(queue.empty());
    }
  }
  CHECK(ring.buffers().in_use() == 0);
}

}  // namespace sockmesh::datapath
