#include "admin/executor.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <future>

namespace sockmesh::admin {

namespace {

struct Fixture {
  // Keeps the executor busy until release().
  void occupy() {
    std::promise<void> begun;
    REQUIRE(executor.submit(
        "", false,
        [&, released = release_.get_future().share()] {
          begun.set_value();
          released.wait();
          return http::Response{};
        },
        [](const http::Response&) {}));
    begun.get_future().wait();
  }
  void release() { release_.set_value(); }
  bool submit(const std::string& key, bool urgent = false) {
    return executor.submit(
        key, urgent,
        [this, key] {
          order.push_back(key);
          return http::text_response(200, key);
        },
        [this](const http::Response&) {
          if (++done == wanted) loop->stop();
        });
  }
  void run(int count) {
    wanted = count;
    loop->run();
  }

  std::unique_ptr<event::Loop> loop = event::Loop::create(event::Backend::kEpoll).value();
  std::vector<std::string> order;  // of the executor's thread, read when all is done
  int done = 0, wanted = 0;
  std::promise<void> release_;
  Executor executor{*loop, 3};
};

}  // namespace

TEST_CASE("what waits is bounded, equal requests share, the urgent go first") {
  Fixture f;
  f.occupy();
  CHECK(f.submit("a"));
  CHECK(f.submit("b"));
  CHECK(f.submit("a"));  // shares
  CHECK(f.submit("u", true));
  CHECK_FALSE(f.submit("c"));
  CHECK_FALSE(f.submit("u"));  // not the urgent one
  CHECK(f.submit("b"));
  f.release();
  f.run(5);
  CHECK(f.order == std::vector<std::string>{"u", "a", "b"});
}

TEST_CASE("what has no key is never shared") {
  Fixture f;
  f.occupy();
  CHECK(f.submit(""));
  CHECK(f.submit(""));
  f.release();
  f.run(2);
  CHECK(f.order.size() == 2);
}

TEST_CASE("stopping forgets what waits") {
  Fixture f;
  f.occupy();
  CHECK(f.submit("a"));
  std::thread stopping([&] { f.executor.stop(); });
  while (f.submit("a")) std::this_thread::yield();  // shares until it is stopped
  f.release();
  stopping.join();
  CHECK(f.order.empty());
}

}  // namespace sockmesh::admin
