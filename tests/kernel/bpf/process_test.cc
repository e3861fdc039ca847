// What needs a process of its own: privileges that are dropped, and a death in the middle of a flow.
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <set>

#include "bpf/self_test.h"
#include "bpf/self_test_flow.h"
#include "test_support/eventually.h"

using namespace sockmesh;
using bpf::Side;

namespace {

// Runs `body` in a child, in new namespaces if `flags` of clone() say so; returns what it returned, as text.
// unshare() in the child would need it to be alone, and the thread sanitizer has a thread of its own.
std::string in_child(const std::function<std::string()>& body, unsigned long flags = 0) {
  int pipe_ends[2];
  REQUIRE(pipe(pipe_ends) == 0);
  const auto child =
      static_cast<pid_t>(flags == 0 ? fork() : syscall(SYS_clone, SIGCHLD | flags, 0, 0, 0, 0));
  if (child == 0) {
    const std::string said = body();
    (void)!write(pipe_ends[1], said.data(), said.size());
    _exit(0);
  }
  REQUIRE(child > 0);
  close(pipe_ends[1]);
  std::string said;
  char piece[4096];
  for (ssize_t n; (n = read(pipe_ends[0], piece, sizeof piece)) > 0;)
    said.append(piece, static_cast<size_t>(n));
  close(pipe_ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return status == 0 ? said : said + " [died]";
}

std::string drop_privileges() {
  if (setgroups(0, nullptr) != 0 || setresgid(1337, 1337, 1337) != 0 || setresuid(1337, 1337, 1337) != 0)
    return "cannot drop privileges";
  cap_t none = cap_init();
  const bool dropped = cap_set_proc(none) == 0;
  cap_free(none);
  return dropped ? "" : "cannot drop capabilities";
}

// The ids of the BPF maps and programs that a process has open.
std::set<std::string> bpf_objects(pid_t pid) {
  std::set<std::string> ids;
  for (const auto& entry : std::filesystem::directory_iterator(fmt::format("/proc/{}/fdinfo", pid))) {
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);)
      if (line.rfind("map_id:", 0) == 0 || line.rfind("prog_id:", 0) == 0) ids.insert(line);
  }
  return ids;
}

// Whether any process, or any socket, still holds one of them: asked of the kernel by id.
bool exists(const std::string& object) {
  const bool map = object.rfind("map_id:", 0) == 0;
  const std::string id = object.substr(object.find('\t') + 1);
  return std::system(
             fmt::format("bpftool {} show id {} >/dev/null 2>&1", map ? "map" : "prog", id).c_str()) == 0;
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
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  if (child == 0) {
    down->connecting.reset();
    up->accepted.reset();
    auto maps = bpf::SpliceMaps::load({});
    if (!maps) _exit(1);
    auto pair = bpf::SplicePair::prepare(**maps, down->accepted.get(), up->connecting.get(), SPLICE_NO_RING);
    if (!pair || !pair->insert(Side::kUpstream) || !pair->insert(Side::kDownstream)) _exit(2);
    pair->arm();
    (void)!write(ready[1], "x", 1);
    pause();
    _exit(3);
  }
  down->accepted.reset();
  up->connecting.reset();
  char byte;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  const auto objects = bpf_objects(child);
  CHECK(objects.size() >= 4);
  for (const auto& object : objects) CHECK(exists(object));

  // Megabytes are under way when it dies.
  const int client = down->connecting.get(), server = up->accepted.get();
  std::string bytes(1 << 20, 'x');
  while (send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0) {
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
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
  CHECK(test::eventually([&] {
    for (const auto& object : objects)
      if (exists(object)) return false;
    return true;
  }));
  close(ready[0]);
  close(ready[1]);
}
