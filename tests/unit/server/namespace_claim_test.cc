#include "server/namespace_claim.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <thread>

#include "test_support/eventually.h"
#include "test_support/fork.h"

using namespace sockmesh;
using namespace sockmesh::server;

namespace {

// A name of its own for each test process: claims are of the whole namespace.
std::string unused_name() {
  static int count = 0;
  return fmt::format("sockmesh-test-{}-{}", getpid(), ++count);
}

Fd connect_to(const std::string& name) {
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  REQUIRE(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0);
  return fd;
}

// What somebody else is told; "" when the name is free.
std::string refusal(const std::string& name) {
  const auto taken = NamespaceClaim::take("", name);
  return taken ? "" : taken.error().message;
}

// Runs the loop of a claim while `work` runs here.
template <typename Work>
void while_answering(NamespaceClaim& claim, const Work& work) {
  auto loop = std::move(*event::Loop::create(event::Backend::kEpoll));
  loop->post([&] { claim.answer(*loop); });
  std::thread thread([&] { loop->run(); });
  work();
  loop->post([&] {
    claim.release();
    loop->stop();
  });
  thread.join();
}

}  // namespace

TEST_CASE("a namespace is claimed once, and who asks is told by whom") {
  const std::string name = unused_name();
  auto claim = NamespaceClaim::take("pod db-0.data, run-dir /run/a\nb", name);
  REQUIRE(claim);
  CHECK(claim->held());
  while_answering(*claim, [&] {
    for (int i = 0; i < 20; ++i) {
      const auto second = NamespaceClaim::take("somebody else", name);
      REQUIRE_FALSE(second);
      CHECK(second.error().os_error == EADDRINUSE);
      CHECK(
          second.error().message ==
          fmt::format(
              "another agent has this network namespace (pid {}, pod db-0.data, run-dir /run/a; b): expected "
              "one; end it, or let it close its ports (sockmeshctl drain), first",
              getpid()));
    }
  });
  CHECK_FALSE(claim->held());
  CHECK(NamespaceClaim::take("the next one", name));
}

TEST_CASE("a holder that says nothing is named by its process, after a moment") {
  const std::string name = unused_name();
  const auto claim = NamespaceClaim::take("pod a.b", name);
  REQUIRE(claim);
  const auto second = NamespaceClaim::take("", name);
  REQUIRE_FALSE(second);
  CHECK_THAT(second.error().message, Catch::Contains(fmt::format("(pid {})", getpid())));
}

TEST_CASE("a claim goes with its process") {
  const std::string name = unused_name();
  test::Fork child([&](int tell) {
    const auto claim = NamespaceClaim::take("", name);
    if (write(tell, claim ? "y" : "n", 1) == 1) pause();
  });
  CHECK(child.hear(1) == "y");
  const auto second = NamespaceClaim::take("", name);
  REQUIRE_FALSE(second);
  CHECK_THAT(second.error().message, Catch::Contains(fmt::format("(pid {})", child.pid())));
  child.die();
  CHECK(NamespaceClaim::take("", name));
}

TEST_CASE("whoever connects and does not read, or writes, hinders nobody") {
  const std::string name = unused_name();
  auto claim = NamespaceClaim::take("pod a.b", name);
  REQUIRE(claim);
  while_answering(*claim, [&] {
    std::vector<Fd> silent;
    for (int i = 0; i < 100; ++i) {
      silent.push_back(connect_to(name));
      [[maybe_unused]] const ssize_t sent = send(silent.back().get(), "xxx", 3, MSG_NOSIGNAL);
    }
    // Who comes while they still fill the backlog is told less.
    EVENTUALLY(refusal(name).find("pod a.b") != std::string::npos);
  });
}

TEST_CASE("who holds the name may say anything: it becomes one short line") {
  const std::string name = unused_name();
  Fd squatter(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  REQUIRE(bind(squatter.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0);
  REQUIRE(listen(squatter.get(), 4) == 0);
  std::thread talker([&] {
    const Fd one(accept4(squatter.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const std::string much = "\x1b[31mHA\nHA" + std::string(1 << 20, 'x');
    [[maybe_unused]] const ssize_t sent = send(one.get(), much.data(), much.size(), MSG_NOSIGNAL);
  });
  const auto claim = NamespaceClaim::take("", name);
  talker.join();
  REQUIRE_FALSE(claim);
  CHECK(claim.error().message.size() < NamespaceClaim::kMaxHolder + 200);
  CHECK(claim.error().message.find('\n') == std::string::npos);
  CHECK(claim.error().message.find('\x1b') == std::string::npos);
}
