// What a CNI plugin asks for: other people's namespaces, a lock of the pod's own, pods with user namespaces.
#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "base/fd.h"
#include "init_support/machine.h"
#include "test_support/eventually.h"
#include "test_support/fork.h"
#include "test_support/process.h"
#include "test_support/temp_dir.h"

namespace sockmesh::test {

namespace {

const std::string kFlags = "-b * -i * --force-iptables-binary legacy --cni-mode";

Fd locked(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(fd);
  REQUIRE(flock(fd.get(), LOCK_EX) == 0);
  return fd;
}

bool somebody_waits_for_a_lock() { return read_text("/proc/locks").find("-> FLOCK") != std::string::npos; }

// Applies in the background while `lock` is held, waits until it is seen to wait, lets go.
iptables::Action apply_while_locked(const Netns& netns, const std::string& flags, Fd lock) {
  InitResult result;
  std::atomic<bool> done = false;
  std::thread init([&] {
    result = run_init(netns, flags);
    done = true;
  });
  const bool waits = eventually([] { return somebody_waits_for_a_lock(); });
  const bool done_early = done;
  lock.reset();
  init.join();
  INFO(result.log);
  CHECK(waits);
  CHECK(!done_early);
  CHECK(result.exit_code == 0);
  return result.action;
}

}  // namespace

TEST_CASE("in CNI mode the machine's xtables lock is nobody's business") {
  PodNetwork pods;
  Pod& app = pods.add("app");
  const Fd machine = locked("/run/xtables.lock");
  const auto result = run_init(app.netns, kFlags);
  INFO(result.log);
  CHECK(result.action == iptables::Action::kApplied);
}

TEST_CASE("in CNI mode the pod's namespace is the lock") {
  PodNetwork pods;
  Pod& app = pods.add("app");
  CHECK(apply_while_locked(app.netns, kFlags, locked("/run/netns/" + app.netns.name())) ==
        iptables::Action::kApplied);
}

TEST_CASE("otherwise the machine's lock is waited for") {
  PodNetwork pods;
  Pod& app = pods.add("app");
  CHECK(apply_while_locked(app.netns, "-b * -i * --force-iptables-binary legacy",
                           locked("/run/xtables.lock")) == iptables::Action::kApplied);
}

TEST_CASE("a pod with a user namespace of its own") {
  PodNetwork pods;
  // A process in new user and network namespaces stands for the pod.
  Fork child(
      [](int tell) {
        (void)!write(tell, "+", 1);
        pause();
      },
      CLONE_NEWUSER | CLONE_NEWNET);
  REQUIRE(child.hear(1) == "+");
  const std::string proc = fmt::format("/proc/{}/", child.pid());
  for (const char* map : {"uid_map", "gid_map"}) {
    const Fd fd(open((proc + map).c_str(), O_WRONLY | O_CLOEXEC));
    CHECK(write(fd.get(), "0 100000 65536", 14) == 14);
  }
  auto options = options_of("-b * -i * -u 1337 --cni-mode --host-ip 10.0.0.1", pods.node());
  options.network_namespace = proc + "ns/net";
  std::string log;
  const auto keep = [&](const std::string& line) { log += line + "\n"; };
  const auto action = iptables::run_transaction(options, keep);
  INFO(log << (action ? "" : action.error().error.message));
  CHECK(action == iptables::Action::kApplied);
  CHECK(iptables::check_rules(options, keep)->empty());
}

TEST_CASE("a namespace that is none is named") {
  auto line = iptables::parse_command_line({"--network-namespace", "/nowhere/pod"},
                                           [](const std::string&) { return std::nullopt; });
  const auto action = iptables::run_transaction(line->options, [](const std::string&) {});
  REQUIRE(!action);
  CHECK(action.error().error.message == "--network-namespace '/nowhere/pod': No such file or directory");
}

}  // namespace sockmesh::test
