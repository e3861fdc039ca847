// What needs a process of its own: privileges that are dropped, and a death in the middle of a flow.
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "bpf/self_test.h"
#include "bpf/self_test_flow.h"
#include "test_support/bpf_objects.h"
#include "test_support/eventually.h"
#include "test_support/fork.h"

using namespace sockmesh;
using bpf::Side;

namespace {

// What `body` returns in a child, in new namespaces if `flags` say so.
std::string in_child(const std::function<std::string()>& body, unsigned long flags = 0) {
  test::Fork child(
      [&](int tell) {
        const std::string said = body();
        (void)!write(tell, said.data(), said.size());
      },
      flags);
  const std::string said = child.hear_all();
  return child.wait() == 0 ? said : said + " [died]";
}

std::string drop_privileges() {
  if (setgroups(0, nullptr) != 0 || setresgid(1337, 1337, 1337) != 0 || setresuid(1337, 1337, 1337) != 0)
    return "cannot drop privileges";
  cap_t none = cap_init();
  const bool dropped = cap_set_proc(none) == 0;
  cap_free(none);
  return dropped ? "" : "cannot drop capabilities";
}

}  // namespace

TEST_CASE("once loaded, lane 1 works without any privilege") {
  CHECK(in_child([] {
          auto maps = bpf::SpliceMaps::load({});
          if (!maps) return maps.error().message;
          if (const auto refused = drop_privileges(); !refused.empty()) return refused;
          return "report: " + bpf::run_self_test(**maps).failures();
        }) == "report: ");
}

TEST_CASE("without privileges the error says which are missing") {
  const std::string said = in_child([] {
    if (const auto refused = drop_privileges(); !refused.empty()) return refused;
    auto maps = bpf::SpliceMaps::load({});
    return maps ? std::string("loaded") : maps.error().message;
  });
  INFO(said);
  CHECK(said.find("loading the splice program: Operation not permitted") != std::string::npos);
  CHECK(said.find("CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON") != std::string::npos);
}

TEST_CASE("a single capability that is missing is not taken for an old kernel") {
  for (const cap_value_t missing : {CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON}) {
    const std::string said = in_child([missing] {
      cap_t kept = cap_get_proc();
      // CAP_SYS_ADMIN stands for each of them.
      const cap_value_t without[] = {CAP_SYS_ADMIN, missing};
      cap_set_flag(kept, CAP_EFFECTIVE, 2, without, CAP_CLEAR);
      const bool dropped = cap_set_proc(kept) == 0;
      cap_free(kept);
      if (!dropped) return std::string("cannot drop capabilities");
      auto maps = bpf::SpliceMaps::load({});
      return maps ? std::string("loaded") : maps.error().message;
    });
    INFO(said);
    CHECK(said.find("expected CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON") != std::string::npos);
    CHECK(said.find("Linux 6.1") == std::string::npos);
  }
}

TEST_CASE("the capabilities of a user namespace do not count, and the error says so") {
  const std::string said = in_child(
      [] {
        auto maps = bpf::SpliceMaps::load({});
        return maps ? std::string("loaded") : maps.error().message;
      },
      CLONE_NEWUSER | CLONE_NEWNET);
  INFO(said);
  CHECK(said.find("initial user namespace") != std::string::npos);
}

TEST_CASE("a process that dies resets its flows and leaves no BPF object behind") {
  auto down = bpf::open_loopback_pair(), up = bpf::open_loopback_pair();
  REQUIRE(down);
  REQUIRE(up);
  test::Fork child([&](int tell) {
    down->connecting.reset();
    up->accepted.reset();
    auto maps = bpf::SpliceMaps::load({});
    if (!maps) return;
    auto pair = bpf::SplicePair::prepare(**maps, down->accepted.get(), up->connecting.get(), SPLICE_NO_RING);
    if (!pair || !pair->insert(Side::kUpstream) || !pair->insert(Side::kDownstream)) return;
    pair->arm();
    (void)!write(tell, "x", 1);
    pause();
  });
  down->accepted.reset();
  up->connecting.reset();
  REQUIRE(child.hear(1) == "x");
  const auto objects = test::bpf_objects(child.pid());
  CHECK(objects.size() >= 4);
  for (const auto& object : objects) CHECK(test::bpf_object_exists(object));

  // Megabytes are under way when it dies.
  const int client = down->connecting.get(), server = up->accepted.get();
  std::string bytes(1 << 20, 'x');
  while (send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0) {
  }
  child.die();
  // Not a clean end: that would be a silent truncation.
  for (const int socket : {client, server}) {
    ssize_t n = 1;
    while (n > 0) {
      pollfd fd{socket, POLLIN, 0};
      REQUIRE(poll(&fd, 1, 10'000) == 1);
      n = recv(socket, bytes.data(), bytes.size(), 0);
    }
    CHECK(n == -1);
    CHECK(errno == ECONNRESET);
  }
  CHECK(test::eventually([&] { return !test::any_bpf_object_exists(objects); }));
}
